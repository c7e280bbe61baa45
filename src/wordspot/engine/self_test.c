/* The self-test of a model's card: a signal that is made of integers and sines, and a few rows of scores for it. */
#include "internal.h"

static const double PI = 3.14159265358979323846;

/* sin(2 pi k / 2^24), to the last digits of a double: folded to an eighth of a turn, then Taylor's series. */
static double sine(uint32_t k) {
    const uint32_t eighth = 1u << 21;
    uint32_t octant = k >> 21 & 7, rest = k & (eighth - 1);
    if (octant & 1) rest = eighth - rest;
    double x = rest * (2 * PI / 16777216.0), z = x * x, value;
    if (octant == 1 || octant == 2 || octant == 5 || octant == 6) /* cosine */
        value = 1 - z / 2 * (1 - z / 12 * (1 - z / 30 * (1 - z / 56 * (1 - z / 90 * (1 - z / 132 * (1 - z / 182))))));
    else
        value = x * (1 - z / 6 * (1 - z / 20 * (1 - z / 42 * (1 - z / 72 * (1 - z / 110 * (1 - z / 156 * (1 - z / 210)))))));
    return octant < 4 ? value : -value;
}

static uint32_t phase(uint64_t start, uint64_t sweep, uint64_t n) {
    return (uint32_t)((start * n + sweep * n * n) & 0xffffff); /* n < 2^22 and sweep <= 2^14: below 2^58 */
}

static int16_t sample(const ws_model *model, uint32_t n, uint32_t *random) {
    const uint32_t *tones = model->test_tones;
    double loud = (1 + n / 2048 % 4) / 4.0;
    double tone = 6000 * sine(phase(tones[0], tones[1], n)) + 4000 * sine(phase(tones[2], tones[3], n));
    *random = (uint32_t)((uint64_t)48271 * *random % 2147483647);
    double value = loud * tone + 1000 * (2 * (double)*random / 2147483647.0 - 1) + 0.5;
    int32_t whole = (int32_t)value;
    return (int16_t)(whole > value ? whole - 1 : whole);
}

static float floored_log(float score) {
    float log = score > 1e-30f ? ws_log(score) : -10.0f;
    return log > -10.0f ? log : -10.0f;
}

/* The largest difference between the logarithms of a row and those at export; a score that is no number counts as 1. */
static float row_difference(const ws_model *model, const float *scores, const float *expected) {
    float most = 0;
    for (uint32_t i = 0; i < model->n_labels; i++) {
        float wanted = expected[i] > -10.0f ? expected[i] : -10.0f, apart = floored_log(scores[i]) - wanted;
        apart = apart < 0 ? -apart : apart;
        if (!(scores[i] >= 0) || !(apart >= 0)) apart = 1;
        most = apart > most ? apart : most;
    }
    return most;
}

float ws_self_test(ws_stream *stream, float *tolerance) {
    const ws_model *model = &stream->model;
    uint32_t random = model->test_seed, row = 0;
    float most = 0;
    ws_sample *hop = (ws_sample *)stream->wave; /* large enough, and not used before the hop is copied */
    if (tolerance) *tolerance = model->test_tolerance;
    ws_reset(stream);
    for (uint32_t end = model->hop; row < model->n_test_ends; end += model->hop) {
        for (uint32_t i = 0; i < model->hop; i++) hop[i] = sample(model, end - model->hop + i, &random);
        ws_feed(stream, hop, 1, NULL, NULL, 0);
        if (end != model->test_ends[row]) continue;
        float apart = row_difference(model, stream->logits, model->test_logs + (size_t)row * model->n_labels);
        most = apart > most ? apart : most;
        row++;
    }
    ws_reset(stream);
    return most;
}
