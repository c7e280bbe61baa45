/* Matrix products of floats, and the choice between them and those of integers. */
#include "internal.h"

/* Products of V vectors of outputs and T frames, all in registers. The weights of an input are read once for all frames. */
WS_INLINE void tile(const int V, const int T, const ws_matrix *matrix, uint32_t out, const float *x, uint32_t step, float *y,
                    int relu) {
    const uint32_t n_in = matrix->n_in, n_out = matrix->n_out;
    const float *weights = matrix->weights + out;
    ws_vector sums[16], row[16];
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

/* Vectors in the 16 channels that every width is a multiple of, and frames that fit into registers beside them. */
#define STEP (WS_WIDTH / WS_LANES)
#define FRAMES (WS_LANES == 1 ? 1 : WS_LANES == 4 ? 2 : WS_LANES == 8 ? 6 : 12)

static void multiply_floats(const ws_matrix *matrix, const float *x, uint32_t step, float *y, uint32_t n_frames, int relu) {
    uint32_t n_out = matrix->n_out, t = 0;
#if WS_LANES > 1
    for (; t + FRAMES <= n_frames || (n_frames > FRAMES && 2 * (n_frames - t) > FRAMES); t += FRAMES) {
        t = t + FRAMES <= n_frames ? t : n_frames - FRAMES; /* some frames twice are faster than frames one by one */
        for (uint32_t out = 0; out < n_out; out += WS_WIDTH)
            tile(STEP, FRAMES, matrix, out, x + t * step, step, y + t * n_out, relu);
    }
#endif
    for (; t < n_frames; t++) {
        uint32_t out = 0;
#if WS_LANES == 1
        for (; out < n_out; out += 8) tile(8, 1, matrix, out, x + t * step, step, y + t * n_out, relu);
#else
        for (; out + 12 * WS_LANES <= n_out; out += 12 * WS_LANES)
            tile(12, 1, matrix, out, x + t * step, step, y + t * n_out, relu);
        for (; out + 8 * WS_LANES <= n_out; out += 8 * WS_LANES) tile(8, 1, matrix, out, x + t * step, step, y + t * n_out, relu);
        for (; out < n_out; out += WS_WIDTH) tile(STEP, 1, matrix, out, x + t * step, step, y + t * n_out, relu);
#endif
    }
}

/* x [n_frames][n_in] → y [n_frames][n_out]. `small` is scratch for n_in activations in 16 bits. */
void ws_multiply(const ws_matrix *matrix, const float *x, float *y, uint32_t n_frames, int relu, int16_t *small) {
    const uint32_t n_in = matrix->n_in;
    if (!matrix->integers) {
        multiply_floats(matrix, x, n_in, y, n_frames, relu);
        return;
    }
    for (uint32_t t = 0; t < n_frames; t++) ws_multiply_integers(matrix, x + t * n_in, 0, y + t * matrix->n_out, 1, relu, small);
}

/* The same for rows of inputs that begin `step` apart, a multiple of 4, and may overlap. `small` is scratch for all of them. */
void ws_slide(const ws_matrix *matrix, const float *x, uint32_t step, float *y, uint32_t n_rows, int relu, int16_t *small) {
    if (matrix->integers)
        ws_multiply_integers(matrix, x, step, y, n_rows, relu, small);
    else
        multiply_floats(matrix, x, step, y, n_rows, relu);
}
