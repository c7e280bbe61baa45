/* The network: a convolution over all coefficients, residual blocks, the mean over time, a linear layer, softmax.
 *
 * Channels are the lanes of vectors. States are rings of frames, which are never moved. */
#include "internal.h"

/* A loop whose number of rounds the compiler knows, unrolled so that arrays become registers. */
#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

/* Products of V vectors of outputs and T frames, all in registers. The weights of an input are read once for all frames. */
WS_INLINE void tile(const int V, const int T, const ws_matrix *matrix, uint32_t out, const float *x, float *y, int relu) {
    const uint32_t n_in = matrix->n_in, n_out = matrix->n_out;
    const float *weights = matrix->weights + out;
    ws_vector sums[16], row[16];
    UNROLLED for (int t = 0; t < T; t++)
        UNROLLED for (int v = 0; v < V; v++) sums[t * V + v] = ws_load(matrix->bias + out + v * WS_LANES);
    for (uint32_t i = 0; i < n_in; i++, weights += n_out) {
        UNROLLED for (int v = 0; v < V; v++) row[v] = ws_load(weights + v * WS_LANES);
        UNROLLED for (int t = 0; t < T; t++) {
            const ws_vector value = ws_splat(x[t * n_in + i]);
            UNROLLED for (int v = 0; v < V; v++) sums[t * V + v] += value * row[v];
        }
    }
    UNROLLED for (int t = 0; t < T; t++)
        UNROLLED for (int v = 0; v < V; v++) {
            const ws_vector sum = sums[t * V + v];
            ws_store(y + t * n_out + out + v * WS_LANES, relu ? ws_relu(sum) : sum);
        }
}

/* Vectors in the 16 channels that every width is a multiple of, and frames that fit into registers beside them. */
#define STEP (WS_WIDTH / WS_LANES)
#define FRAMES (WS_LANES == 1 ? 1 : WS_LANES == 4 ? 3 : WS_LANES == 8 ? 6 : 12)

static void multiply_floats(const ws_matrix *matrix, const float *x, float *y, uint32_t n_frames, int relu) {
    uint32_t n_in = matrix->n_in, n_out = matrix->n_out, t = 0;
#if WS_LANES > 1
    for (; t + FRAMES <= n_frames; t += FRAMES)
        for (uint32_t out = 0; out < n_out; out += WS_WIDTH)
            tile(STEP, FRAMES, matrix, out, x + t * n_in, y + t * n_out, relu);
#endif
    for (; t < n_frames; t++) {
        uint32_t out = 0;
#if WS_LANES == 1
        for (; out < n_out; out += 8) tile(8, 1, matrix, out, x + t * n_in, y + t * n_out, relu);
#else
        for (; out + 12 * WS_LANES <= n_out; out += 12 * WS_LANES)
            tile(12, 1, matrix, out, x + t * n_in, y + t * n_out, relu);
        for (; out + 8 * WS_LANES <= n_out; out += 8 * WS_LANES) tile(8, 1, matrix, out, x + t * n_in, y + t * n_out, relu);
        for (; out < n_out; out += WS_WIDTH) tile(STEP, 1, matrix, out, x + t * n_in, y + t * n_out, relu);
#endif
    }
}

/* x [n_frames][n_in] → y [n_frames][n_out]. `small` is scratch for n_in activations in 16 bits. */
void ws_multiply(const ws_matrix *matrix, const float *x, float *y, uint32_t n_frames, int relu, int16_t *small) {
    (void)small;
    multiply_floats(matrix, x, y, n_frames, relu);
}

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

/* Put the frame x into a block's ring, and convolve the ring over time: y [n_channels]. */
static void over_time(ws_stream *stream, uint32_t number, const float *x, float *y) {
    const ws_model *model = &stream->model;
    const ws_block *block = &model->blocks[number];
    const uint32_t n_channels = model->n_channels, kernel = model->kernel;
    float *ring = stream->rings[number];
    uint32_t place = stream->places[number];
    memcpy(ring + place * n_channels, x, n_channels * sizeof *x);
    place = place + 1 == block->ring ? 0 : place + 1; /* the oldest frame */
    stream->places[number] = place;
    const float *frames[WS_MOST_KERNEL];
    for (uint32_t i = 0; i < kernel; i++) {
        frames[i] = ring + place * n_channels;
        place += block->dilation;
        if (place >= block->ring) place -= block->ring;
    }
    for (uint32_t c = 0; c < n_channels; c += WS_LANES) {
        ws_vector sum = {0};
        for (uint32_t i = 0; i < kernel; i++) sum += ws_load(block->taps + i * n_channels + c) * ws_load(frames[i] + c);
        ws_store(y + c, sum);
    }
}

/* Add the block's input to its output, then ReLU: x = relu(x + y). */
static void add(float *x, const float *y, uint32_t n) {
    for (uint32_t i = 0; i < n; i += WS_LANES) ws_store(x + i, ws_relu(ws_load(x + i) + ws_load(y + i)));
}

/* Put the frame x into the ring of the mean, and compute the mean over it: y [n_channels]. */
static void mean_over_time(ws_stream *stream, const float *x, float *y) {
    const ws_model *model = &stream->model;
    const uint32_t n_channels = model->n_channels, n_frames = model->pool;
    memcpy(stream->pool + stream->pool_place * n_channels, x, n_channels * sizeof *x);
    stream->pool_place = stream->pool_place + 1 == n_frames ? 0 : stream->pool_place + 1;
    const float scale = 1.0f / (float)n_frames;
    for (uint32_t c = 0; c < n_channels; c += WS_LANES) {
        ws_vector sum = {0};
        for (uint32_t i = 0; i < n_frames; i++) sum += ws_load(stream->pool + i * n_channels + c);
        ws_store(y + c, sum * scale);
    }
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
    ws_multiply(&model->stem, stream->stem_in, x, n_frames, 1, stream->small);
    clear_early(stream, x, n_frames, n_channels);
    for (uint32_t i = 0; i < model->n_blocks; i++) {
        const ws_block *block = &model->blocks[i];
        for (uint32_t t = 0; t < n_frames; t++) over_time(stream, i, x + t * n_channels, y + t * n_channels);
        ws_multiply(&block->wider, y, stream->inside, n_frames, 1, stream->small);
        ws_multiply(&block->narrower, stream->inside, y, n_frames, 0, stream->small);
        add(x, y, n_frames * n_channels);
        clear_early(stream, x, n_frames, n_channels);
    }
    for (uint32_t t = 0; t < n_frames; t++) mean_over_time(stream, x + t * n_channels, y + t * n_channels);
    ws_multiply(&model->output, y, stream->logits, n_frames, 0, stream->small);
    for (uint32_t t = 0; t < n_frames; t++) softmax(stream->logits + (size_t)t * model->n_scores, model->n_labels);
}
