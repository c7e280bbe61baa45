/* States are rings of frames, which are never moved: a convolution of each channel over time, and the mean over time.
 *
 * A frame is [n_channels] floats or, if weights are in 8 bits, a scale and [n_channels] 16-bit integers. */
#include "internal.h"

enum { VECTORS = WS_LANES == 1 ? 8 : WS_WIDTH / WS_LANES }; /* at a time */

/* Put x [n_channels] into a frame. */
static void put(const ws_model *model, float *frame, const float *x) {
    if (model->in_bits_8)
        *frame = ws_to_16_bits(x, (int16_t *)(frame + 1), model->n_channels, 0);
    else
        memcpy(frame, x, model->n_channels * sizeof *x);
}

static void convolve(const float *taps, const float *const *frames, uint32_t kernel, float *y, uint32_t n_channels) {
    for (uint32_t c = 0; c < n_channels; c += VECTORS * WS_LANES) {
        const float *tap = taps + c;
        ws_vector sums[VECTORS];
        WS_UNROLLED for (int v = 0; v < VECTORS; v++) sums[v] = (ws_vector){0};
        for (uint32_t i = 0; i < kernel; i++, tap += n_channels) {
            const float *frame = frames[i] + c;
            WS_UNROLLED for (int v = 0; v < VECTORS; v++) sums[v] += ws_load(tap + v * WS_LANES) * ws_load(frame + v * WS_LANES);
        }
        WS_UNROLLED for (int v = 0; v < VECTORS; v++) ws_store(y + c + v * WS_LANES, sums[v]);
    }
}

/* Integers, by vectors where they are long. Vectors of four are slower than what compilers make of groups of eight. */
#if WS_LANES > 4
typedef int8_t bytes __attribute__((vector_size(WS_LANES), aligned(1), may_alias));

/* As floats, one doubling at a time: GCC 12 takes bytes to 32 bits one by one. */
#define CONVERTED __builtin_convertvector
#define TO_FLOATS(type, integers) CONVERTED(CONVERTED(CONVERTED(*(const type *)(integers), ws_shorts), ws_bits), ws_vector)

static void convolve_integers(const ws_block *block, const float *const *frames, uint32_t kernel, float *y, uint32_t n_channels) {
    for (uint32_t c = 0; c < n_channels; c += VECTORS * WS_LANES) {
        const int8_t *taps = block->tap_integers + c;
        ws_vector sums[VECTORS];
        WS_UNROLLED for (int v = 0; v < VECTORS; v++) sums[v] = (ws_vector){0};
        for (uint32_t i = 0; i < kernel; i++, taps += n_channels) {
            const int16_t *values = (const int16_t *)(frames[i] + 1) + c;
            const ws_vector scale = ws_splat(*frames[i]);
            WS_UNROLLED for (int v = 0; v < VECTORS; v++) /* the product is exact: it is below 2^24 */
                sums[v] += scale * (TO_FLOATS(ws_shorts, values + v * WS_LANES) * TO_FLOATS(bytes, taps + v * WS_LANES));
        }
        WS_UNROLLED for (int v = 0; v < VECTORS; v++)
            ws_store(y + c + v * WS_LANES, sums[v] * ws_load(block->tap_factors + c + v * WS_LANES));
    }
}

static void sum_integers(const float *frames, uint32_t n_frames, uint32_t size, float *y, uint32_t n_channels) {
    for (uint32_t c = 0; c < n_channels; c += VECTORS * WS_LANES) {
        const float *frame = frames;
        ws_vector sums[VECTORS];
        WS_UNROLLED for (int v = 0; v < VECTORS; v++) sums[v] = (ws_vector){0};
        for (uint32_t i = 0; i < n_frames; i++, frame += size) {
            const int16_t *values = (const int16_t *)(frame + 1) + c;
            WS_UNROLLED for (int v = 0; v < VECTORS; v++)
                sums[v] += ws_splat(*frame) * TO_FLOATS(ws_shorts, values + v * WS_LANES);
        }
        WS_UNROLLED for (int v = 0; v < VECTORS; v++) ws_store(y + c + v * WS_LANES, sums[v]);
    }
}
#else
enum { GROUP = 8 };

static void convolve_integers(const ws_block *block, const float *const *frames, uint32_t kernel, float *y, uint32_t n_channels) {
    for (uint32_t c = 0; c < n_channels; c += GROUP) {
        const int8_t *taps = block->tap_integers + c;
        float sums[GROUP] = {0};
        for (uint32_t i = 0; i < kernel; i++, taps += n_channels) {
            const int16_t *values = (const int16_t *)(frames[i] + 1) + c;
            const float scale = *frames[i];
            WS_UNROLLED for (int v = 0; v < GROUP; v++) sums[v] += scale * (float)(values[v] * taps[v]);
        }
        WS_UNROLLED for (int v = 0; v < GROUP; v++) y[c + v] = sums[v] * block->tap_factors[c + v];
    }
}

static void sum_integers(const float *frames, uint32_t n_frames, uint32_t size, float *y, uint32_t n_channels) {
    for (uint32_t c = 0; c < n_channels; c += GROUP) {
        float sums[GROUP] = {0};
        for (uint32_t i = 0; i < n_frames; i++) {
            const float *frame = frames + i * size;
            const int16_t *values = (const int16_t *)(frame + 1) + c;
            WS_UNROLLED for (int v = 0; v < GROUP; v++) sums[v] += *frame * (float)values[v];
        }
        WS_UNROLLED for (int v = 0; v < GROUP; v++) y[c + v] = sums[v];
    }
}
#endif

/* Put the frame x into a block's ring, and convolve the ring over time: y [n_channels]. */
void ws_over_time(ws_stream *stream, uint32_t number, const float *x, float *y) {
    const ws_model *model = &stream->model;
    const ws_block *block = &model->blocks[number];
    float *ring = stream->rings[number];
    uint32_t place = stream->places[number];
    put(model, ring + place * model->frame, x);
    place = place + 1 == block->ring ? 0 : place + 1; /* the oldest frame */
    stream->places[number] = place;
    const float *frames[WS_MOST_KERNEL];
    for (uint32_t i = 0; i < model->kernel; i++) {
        frames[i] = ring + place * model->frame;
        place += block->dilation;
        if (place >= block->ring) place -= block->ring;
    }
    if (model->in_bits_8)
        convolve_integers(block, frames, model->kernel, y, model->n_channels);
    else
        convolve(block->taps, frames, model->kernel, y, model->n_channels);
}

static void sum(const float *frames, uint32_t n_frames, float *y, uint32_t n_channels) {
    for (uint32_t c = 0; c < n_channels; c += WS_LANES) {
        ws_vector sum = {0};
        for (uint32_t i = 0; i < n_frames; i++) sum += ws_load(frames + i * n_channels + c);
        ws_store(y + c, sum);
    }
}

/* Put the frame x into the ring of the mean, and compute the mean over it: y [n_channels]. */
void ws_mean_over_time(ws_stream *stream, const float *x, float *y) {
    const ws_model *model = &stream->model;
    const uint32_t n_channels = model->n_channels, n_frames = model->pool;
    put(model, stream->pool + stream->pool_place * model->frame, x);
    stream->pool_place = stream->pool_place + 1 == n_frames ? 0 : stream->pool_place + 1;
    if (model->in_bits_8)
        sum_integers(stream->pool, n_frames, model->frame, y, n_channels);
    else
        sum(stream->pool, n_frames, y, n_channels);
    const float scale = 1.0f / (float)n_frames;
    for (uint32_t c = 0; c < n_channels; c += WS_LANES) ws_store(y + c, ws_load(y + c) * scale);
}
