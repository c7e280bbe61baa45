/* From rows of scores to detections, by the rules of docs/porting.md. Scores are multiples of 2^-30, so that sums are exact. */
#include "internal.h"

static const double UNIT = 1073741824.0, MARGIN = 0.02, RISE = 2.0, SLACK = 1e-3;

typedef struct {
    double free_ms; /* the word is blocked until then */
    double lowest;  /* its lowest score since it was detected, or less than 0 */
    int is_rival;
} word_state;

struct ws_decoder {
    ws_decoder_settings settings;
    const double *thresholds;
    uint32_t n_labels, silence, unknown, most_rows;
    uint32_t *queue;   /* [most_rows][n_labels], scores in units */
    double *times;     /* [most_rows] */
    uint64_t *sums;    /* [n_labels] */
    word_state *words; /* [n_labels] */
    uint32_t oldest, n_rows;
    double first_ms, last_ms, stride;
    int has_first;
    uint32_t previous, has_peak, peak; /* classic: the remembered label; peak: the word */
    double previous_ms, peak_score, peak_ms, since_ms, plateau;
};

static const double NEVER = -1e300, FAR = 1e300;

static int is_in(double value, double low, double high) {
    return low <= value && value <= high;
}

static uint64_t rounded(uint64_t bytes) {
    return (bytes + 7) / 8 * 8;
}

size_t ws_decoder_size(const ws_decoder_settings *settings, uint32_t n_labels, uint32_t most_rows) {
    const ws_decoder_settings *s = settings;
    if (s->kind > WS_MICRO || s->minimum_count < 1 || s->minimum_count > 1000000 || !is_in(s->average_ms, 0, 1e6) ||
        !is_in(s->suppression_ms, 0, 1e6) || !is_in(s->refractory_ms, 0, 1e6) || !is_in(s->confirm_ms, 0, 1e6) ||
        !is_in(s->stride_ms, 0, 1e6) || n_labels < 1 || n_labels > 1000 || most_rows < 1 || most_rows > 1 << 22)
        return 0;
    uint64_t bytes = rounded(sizeof(ws_decoder)) + rounded((uint64_t)most_rows * n_labels * 4) + (uint64_t)most_rows * 8 +
                     (uint64_t)n_labels * (8 + sizeof(word_state)) + 8;
    return bytes <= SIZE_MAX / 4 ? (size_t)bytes : 0;
}

ws_decoder *ws_decoder_init(void *memory, size_t memory_bytes, const ws_decoder_settings *settings, const double *thresholds,
                            uint32_t n_labels, uint32_t silence, uint32_t unknown, uint32_t most_rows) {
    size_t bytes = ws_decoder_size(settings, n_labels, most_rows);
    if (!memory || !bytes || memory_bytes < bytes) return NULL;
    for (uint32_t i = 0; i < n_labels; i++)
        if (!is_in(thresholds[i], 0, 1)) return NULL;
    unsigned char *at = (unsigned char *)(((uintptr_t)memory + 7) / 8 * 8);
    ws_decoder *decoder = (ws_decoder *)at;
    at += rounded(sizeof *decoder);
    memset(decoder, 0, sizeof *decoder);
    decoder->settings = *settings;
    decoder->thresholds = thresholds;
    decoder->n_labels = n_labels, decoder->silence = silence, decoder->unknown = unknown, decoder->most_rows = most_rows;
    decoder->times = (double *)at;
    at += (size_t)most_rows * sizeof(double);
    decoder->sums = (uint64_t *)at;
    at += n_labels * sizeof(uint64_t);
    decoder->words = (word_state *)at;
    at += n_labels * sizeof(word_state);
    decoder->queue = (uint32_t *)at;
    ws_decoder_reset(decoder);
    return decoder;
}

void ws_decoder_reset(ws_decoder *decoder) {
    memset(decoder->sums, 0, decoder->n_labels * sizeof *decoder->sums);
    for (uint32_t i = 0; i < decoder->n_labels; i++) decoder->words[i] = (word_state){NEVER, -1, 0};
    decoder->oldest = decoder->n_rows = 0;
    decoder->has_first = 0, decoder->stride = -1, decoder->last_ms = NEVER;
    decoder->previous = decoder->silence, decoder->previous_ms = NEVER;
    decoder->has_peak = 0;
}

/* Whether a row counts: it is the first of its stride. */
static int in_new_stride(ws_decoder *decoder, double time_ms) {
    if (!decoder->has_first) decoder->has_first = 1, decoder->first_ms = time_ms;
    if (!(decoder->settings.stride_ms > 0)) return 1;
    double strides = (time_ms - decoder->first_ms) / decoder->settings.stride_ms + 1e-6;
    double number = strides < 9e15 ? (double)(int64_t)strides : strides;
    int is_new = number > decoder->stride;
    decoder->stride = number;
    return is_new;
}

static void drop_oldest(ws_decoder *decoder) {
    const uint32_t *row = decoder->queue + (size_t)decoder->oldest * decoder->n_labels;
    for (uint32_t i = 0; i < decoder->n_labels; i++) decoder->sums[i] -= row[i];
    decoder->oldest = decoder->oldest + 1 == decoder->most_rows ? 0 : decoder->oldest + 1;
    decoder->n_rows--;
}

static void put_in_queue(ws_decoder *decoder, const double *scores, double time_ms) {
    if (decoder->n_rows == decoder->most_rows) drop_oldest(decoder);
    uint32_t place = (uint32_t)(((uint64_t)decoder->oldest + decoder->n_rows) % decoder->most_rows);
    uint32_t *row = decoder->queue + (size_t)place * decoder->n_labels;
    for (uint32_t i = 0; i < decoder->n_labels; i++) {
        double score = scores[i] < 0 ? 0 : scores[i] > 1 ? 1 : scores[i];
        row[i] = (uint32_t)(score * UNIT + 0.5);
        decoder->sums[i] += row[i];
    }
    decoder->times[place] = time_ms;
    decoder->n_rows++;
    while (decoder->times[decoder->oldest] < time_ms - decoder->settings.average_ms) drop_oldest(decoder);
}

static double mean_score(const ws_decoder *decoder, uint32_t label) {
    return (double)decoder->sums[label] / (decoder->n_rows * UNIT);
}

/* classic and micro: returns whether there is a detection. */
static int recognise(ws_decoder *decoder, double time_ms, ws_detection *found) {
    const ws_decoder_settings *settings = &decoder->settings;
    if (decoder->n_rows < settings->minimum_count ||
        time_ms - decoder->times[decoder->oldest] < settings->average_ms / 4)
        return 0;
    uint32_t top = 0;
    for (uint32_t i = 1; i < decoder->n_labels; i++)
        if (decoder->sums[i] > decoder->sums[top]) top = i;
    double score = mean_score(decoder, top);
    if (!(score > decoder->thresholds[top])) return 0;
    int changed = top != decoder->previous;
    int late = decoder->previous == decoder->silence || time_ms - decoder->previous_ms > settings->suppression_ms;
    if (!(settings->kind == WS_MICRO ? changed || late : changed && late)) return 0;
    decoder->previous = top, decoder->previous_ms = time_ms;
    if (top == decoder->silence) return 0;
    *found = (ws_detection){top, (float)score, time_ms, time_ms};
    return 1;
}

/* peak: turn the peak into a detection. */
static void emit(ws_decoder *decoder, double now, ws_detection *found) {
    const double rest = decoder->settings.refractory_ms, time_ms = decoder->peak_ms;
    for (uint32_t i = 0; i < decoder->n_labels; i++) {
        word_state *word = &decoder->words[i];
        if (word->free_ms < time_ms + rest / 2) word->free_ms = time_ms + rest / 2;
        if (word->is_rival) word->lowest = FAR;
        word->is_rival = 0;
    }
    decoder->words[decoder->peak].free_ms = time_ms + rest;
    decoder->has_peak = 0;
    *found = (ws_detection){decoder->peak, (float)decoder->peak_score, time_ms, now};
}

/* peak: whether a word takes part in this row; follows its lowest score. */
static int takes_part(const ws_decoder *decoder, word_state *word, double score, int above, double now) {
    if (word->lowest >= 0) {
        if (score < word->lowest) word->lowest = score;
        if (above && score < RISE * word->lowest) return 0;
        word->lowest = -1;
    }
    (void)decoder;
    return above && now > word->free_ms;
}

static int follow_peak(ws_decoder *decoder, double now, ws_detection found[2]) {
    const ws_decoder_settings *settings = &decoder->settings;
    int n = 0;
    if (decoder->has_peak && now - decoder->since_ms > settings->confirm_ms) emit(decoder, now, &found[n++]);
    for (uint32_t i = 0; i < decoder->n_labels; i++) {
        if (i == decoder->silence || i == decoder->unknown) continue;
        double score = mean_score(decoder, i);
        word_state *word = &decoder->words[i];
        if (!takes_part(decoder, word, score, score > decoder->thresholds[i], now)) continue;
        word->is_rival = 1;
        if (decoder->has_peak && !(score > decoder->peak_score)) continue;
        if (!decoder->has_peak || score > decoder->plateau + MARGIN) decoder->since_ms = now, decoder->plateau = score;
        decoder->has_peak = 1, decoder->peak = i, decoder->peak_score = score, decoder->peak_ms = now;
    }
    if (decoder->has_peak && (now - decoder->since_ms >= settings->confirm_ms || decoder->plateau > 1 - MARGIN))
        emit(decoder, now, &found[n++]);
    return n;
}

int ws_decode(ws_decoder *decoder, const double *scores, double time_ms, ws_detection found[2]) {
    if (!is_in(time_ms, -1e15, 1e15) || time_ms < decoder->last_ms) return -1;
    for (uint32_t i = 0; i < decoder->n_labels; i++)
        if (!is_in(scores[i], -SLACK, 1 + SLACK)) return -1;
    decoder->last_ms = time_ms;
    if (!in_new_stride(decoder, time_ms)) return 0;
    put_in_queue(decoder, scores, time_ms);
    return decoder->settings.kind == WS_PEAK ? follow_peak(decoder, time_ms, found) : recognise(decoder, time_ms, found);
}

int ws_decoder_flush(ws_decoder *decoder, ws_detection *found) {
    if (decoder->settings.kind != WS_PEAK || !decoder->has_peak) return 0;
    emit(decoder, decoder->last_ms, found);
    return 1;
}
