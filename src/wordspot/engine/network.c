/* The network: a convolution over all coefficients, residual blocks, the mean over time, a linear layer, softmax.
 *
 * Channels are the lanes of vectors. */
#include "internal.h"

/* e^x for x <= 0, as Cephes' expf; NaN gives e^-80. */
float ws_exp(float x) {
    x = x > -80.0f ? x : -80.0f;
    x = x < 80.0f ? x : 80.0f;
    float n = (float)(int32_t)(x * 1.44269504f - 0.5f); /* toward zero; |x| <= 80, so it fits */
    x = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    p = p * x * x + x + 1.0f;
    uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

static void softmax(float *scores, uint32_t n) {
    float most = scores[0], sum = 0;
    for (uint32_t i = 1; i < n; i++) most = scores[i] > most ? scores[i] : most;
    for (uint32_t i = 0; i < n; i++) sum += scores[i] = ws_exp(scores[i] - most);
    float scale = 1.0f / sum;
    for (uint32_t i = 0; i < n; i++) scores[i] *= scale;
}

/* Add what runs beside, then ReLU: x = relu(x + y). */
static void add(float *x, const float *y, uint32_t n) {
    for (uint32_t i = 0; i < n; i += WS_LANES) ws_store(x + i, ws_relu(ws_load(x + i) + ws_load(y + i)));
}

/* Frames that reach back before the stream must leave no trace in the states of a trigger. */
static void clear_early(const ws_stream *stream, float *x, uint32_t n_frames, uint32_t n) {
    uint64_t first = stream->n_hops;
    for (uint32_t t = 0; t < n_frames && first + t < stream->model.early_frames; t++)
        memset(x + (size_t)t * n, 0, n * sizeof *x);
}

/* From the stem's inputs [n_frames][stem n_in] to scores in `logits` [n_frames][n_scores]. */
void ws_network(ws_stream *stream, uint32_t n_frames) {
    const ws_model *model = &stream->model;
    const uint32_t n_channels = model->n_channels;
    float *x = stream->x, *y = stream->y;
    ws_multiply(&model->stem, stream->stem_in, x, n_frames, !model->has_local, stream->small);
    if (model->has_local) {
        ws_local_patterns(stream, n_frames);
        ws_multiply(&model->local.join, stream->local, y, n_frames, 0, stream->small);
        add(x, y, n_frames * n_channels);
    }
    clear_early(stream, x, n_frames, n_channels);
    for (uint32_t i = 0; i < model->n_blocks; i++) {
        const ws_block *block = &model->blocks[i];
        for (uint32_t t = 0; t < n_frames; t++) ws_over_time(stream, i, x + t * n_channels, y + t * n_channels);
        ws_multiply(&block->wider, y, stream->inside, n_frames, 1, stream->small);
        ws_multiply(&block->narrower, stream->inside, y, n_frames, 0, stream->small);
        add(x, y, n_frames * n_channels);
        clear_early(stream, x, n_frames, n_channels);
    }
    for (uint32_t t = 0; t < n_frames; t++) ws_mean_over_time(stream, x + t * n_channels, y + t * n_channels);
    ws_multiply(&model->output, y, stream->logits, n_frames, 0, stream->small);
    for (uint32_t t = 0; t < n_frames; t++) softmax(stream->logits + (size_t)t * model->n_scores, model->n_labels);
}
