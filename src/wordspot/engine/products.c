/* Matrix products of floats, and the choice between them and those of integers. */
#include "internal.h"

/* Products of V vectors of outputs and T frames, all in registers. The weights of an input are read once for all frames. */
WS_INLINE void tile(const int V, const int T, const ws_matrix *matrix, uint32_t out, const float *x, uint32_t step, float *y,
                    int relu) {
    const uint32_t n_in = matrix->n_in, n_out = matrix->n_out;
    const float *weights = matrix->weights + out;
    ws_vector sums[24], row[12];
    WS_UNROLLED for (int t = 0; t < T; t++)
        WS_UNROLLED for (int v = 0; v < V; v++) sums[t * V + v] = ws_load(matrix->bias + out + v * WS_LANES);
    for (uint32_t i = 0; i < n_in; i++, weights += n_out) {
        WS_UNROLLED for (int v = 0; v < V; v++) row[v] = ws_load(weights + v * WS_LANES);
        WS_UNROLLED for (int t = 0; t < T; t++) {
            const ws_vector value = ws_splat(x[t * step + i]);
            WS_UNROLLED for (int v = 0; v < V; v++) sums[t * V + v] += value * row[v];
        }
    }
    WS_UNROLLED for (int t = 0; t < T; t++)
        WS_UNROLLED for (int v = 0; v < V; v++) {
            const ws_vector sum = sums[t * V + v];
            ws_store(y + t * n_out + out + v * WS_LANES, relu ? ws_relu(sum) : sum);
        }
}

/* Vectors in the 16 channels that every width is a multiple of. */
#define STEP (WS_WIDTH / WS_LANES)

#if WS_LANES > 1
/* V vectors of outputs and T frames at a time. Returns how many frames are done; those that are left are fewer than half of T. */
WS_INLINE uint32_t many(const int V, const uint32_t T, const ws_matrix *matrix, const float *x, uint32_t step, float *y,
                        uint32_t n_frames, int relu) {
    const uint32_t n_out = matrix->n_out;
    uint32_t t = 0;
    for (; t + T <= n_frames || (n_frames > T && 2 * (n_frames - t) > T); t += T) {
        t = t + T <= n_frames ? t : n_frames - T; /* some frames twice are faster than frames one by one */
        for (uint32_t out = 0; out < n_out; out += V * WS_LANES) tile(V, T, matrix, out, x + t * step, step, y + t * n_out, relu);
    }
    return t;
}
#endif

static void multiply_floats(const ws_matrix *matrix, const float *x, uint32_t step, float *y, uint32_t n_frames, int relu) {
    const uint32_t n_out = matrix->n_out;
    uint32_t t = 0; /* first as many vectors and frames together as fit into registers */
#if WS_LANES == 4
    t = many(STEP, 2, matrix, x, step, y, n_frames, relu);
#elif WS_LANES == 8
    t = many(STEP, 6, matrix, x, step, y, n_frames, relu);
#elif WS_LANES == 16
    if (n_out % 48 == 0)
        t = many(3, 8, matrix, x, step, y, n_frames, relu);
    else if (n_out % 32 == 0)
        t = many(2, 10, matrix, x, step, y, n_frames, relu);
    else
        t = many(1, 10, matrix, x, step, y, n_frames, relu);
#endif
    for (; t < n_frames; t++) {
        const float *inputs = x + t * step;
        float *outputs = y + t * n_out;
        uint32_t out = 0;
#if WS_LANES > 1
        for (; out + 12 * WS_LANES <= n_out; out += 12 * WS_LANES) tile(12, 1, matrix, out, inputs, step, outputs, relu);
#endif
        for (; out + 8 * WS_LANES <= n_out; out += 8 * WS_LANES) tile(8, 1, matrix, out, inputs, step, outputs, relu);
#if WS_LANES == 16
        for (; out + 6 * WS_LANES <= n_out; out += 6 * WS_LANES) tile(6, 1, matrix, out, inputs, step, outputs, relu);
        for (; out + 3 * WS_LANES <= n_out; out += 3 * WS_LANES) tile(3, 1, matrix, out, inputs, step, outputs, relu);
#endif
#if WS_LANES > 1
        for (; out < n_out; out += WS_WIDTH) tile(STEP, 1, matrix, out, inputs, step, outputs, relu);
#endif
    }
}

/* x [n_frames][n_in] → y [n_frames][n_out]. `small` is scratch for all activations in 16 bits. */
void ws_multiply(const ws_matrix *matrix, const float *x, float *y, uint32_t n_frames, int relu, int16_t *small) {
    if (matrix->integers)
        ws_multiply_integers(matrix, x, y, n_frames, relu, small);
    else
        multiply_floats(matrix, x, matrix->n_in, y, n_frames, relu);
}

/* The same for rows of inputs that begin `step` apart, a multiple of 4, and may overlap. `small` is scratch for all of them. */
void ws_slide(const ws_matrix *matrix, const float *x, uint32_t step, float *y, uint32_t n_rows, int relu, int16_t *small) {
    if (matrix->integers)
        ws_slide_integers(matrix, x, step, y, n_rows, relu, small);
    else
        multiply_floats(matrix, x, step, y, n_rows, relu);
}
