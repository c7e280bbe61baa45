/* Matrix products of weights in 8 bits and activations in 16 bits. */
#include "dot_products.h"

#if WS_LANES == 1
#define TO_FLOATS(sums) ((float)*(sums))
#else
#define TO_FLOATS(sums) __builtin_convertvector(*(const ws_bits *)(sums), ws_vector)
#endif

/* Sums [16 * G] as outputs from `out` on. */
WS_INLINE void finish(const int G, const ws_matrix *matrix, uint32_t out, const int32_t *sums, float scale, float *y, int relu) {
    for (int i = 0; i < 16 * G; i += WS_LANES, out += WS_LANES) {
        const ws_vector factors = scale * ws_load(matrix->factors + out);
        const ws_vector sum = TO_FLOATS(sums + i) * factors + ws_load(matrix->bias + out);
        ws_store(y + out, relu ? ws_relu(sum) : sum);
    }
}

/* R rows, 16 * G outputs of each. The scales of rows are `next` apart: 1, or 0 if there is one for all. */
WS_INLINE void part(const int G, const int R, const ws_matrix *matrix, uint32_t out, const int16_t *x, uint32_t step,
                    const float *scales, uint32_t next, float *y, int relu) {
    int32_t sums[16 * (ROWS > 3 ? ROWS : 3)];
    dot_products(G, R, matrix, out, x, step, sums);
    WS_UNROLLED for (int r = 0; r < R; r++) finish(G, matrix, out, sums + 16 * G * r, scales[r * next], y + r * matrix->n_out, relu);
}

/* Activations x, whose rows begin `step` apart, → y [n_rows][n_out]. */
static __attribute__((noinline)) void multiply(const ws_matrix *matrix, const int16_t *x, uint32_t step, const float *scales,
                                               uint32_t next, float *y, uint32_t n_rows, int relu) {
    const uint32_t n_out = matrix->n_out;
    uint32_t row = 0;
#if ROWS > 1
    for (; row + ROWS <= n_rows; row += ROWS, x += ROWS * step, scales += ROWS * next, y += ROWS * n_out)
        for (uint32_t out = 0; out < n_out; out += 16) part(1, ROWS, matrix, out, x, step, scales, next, y, relu);
#endif
    for (; row < n_rows; row++, x += step, scales += next, y += n_out) {
        uint32_t out = 0;
        for (; out + 48 <= n_out; out += 48) part(3, 1, matrix, out, x, step, scales, next, y, relu);
        for (; out < n_out; out += 16) part(1, 1, matrix, out, x, step, scales, next, y, relu);
    }
}

/* x [n_rows][n_in], each row with a scale of its own. */
void ws_multiply_integers(const ws_matrix *matrix, const float *x, float *y, uint32_t n_rows, int relu, int16_t *small) {
    const uint32_t n_in = matrix->n_in;
    float scales[WS_BATCH];
    for (uint32_t row = 0; row < n_rows; row++) scales[row] = ws_to_16_bits(x + row * n_in, small + row * n_in, n_in, SWAPPED);
    multiply(matrix, small, n_in, scales, 1, y, n_rows, relu);
}

/* Rows of inputs that begin `step` apart, all rounded with the same scale. */
void ws_slide_integers(const ws_matrix *matrix, const float *x, uint32_t step, float *y, uint32_t n_rows, int relu,
                       int16_t *small) {
    const float scale = ws_to_16_bits(x, small, (n_rows - 1) * step + matrix->n_in, SWAPPED);
    multiply(matrix, small, step, &scale, 0, y, n_rows, relu);
}
