/* Log-mel features: window, real Fourier transform, power, mel channels as sparse sums, logarithm. */
#include "internal.h"

/* Lanes of the transform: every stage works on runs of at least 8 numbers. */
#define LANES (WS_LANES > 8 ? 8 : WS_LANES)
#if LANES == 1
typedef float lanes;
typedef uint32_t words;
typedef int32_t wholes;
#define TO_FLOATS(numbers) ((float)(numbers))
#define BACKWARD(values) (values)
#else
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef int32_t wholes __attribute__((vector_size(4 * LANES)));
#define TO_FLOATS(numbers) __builtin_convertvector(numbers, lanes)
#if LANES == 4
#define ORDER 3, 2, 1, 0
#else
#define ORDER 7, 6, 5, 4, 3, 2, 1, 0
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define BACKWARD(values) __builtin_shufflevector(values, values, ORDER)
#else
#define BACKWARD(values) __builtin_shuffle(values, (wholes){ORDER})
#endif
#endif

typedef struct {
    float *re, *im;
} complexes;

#define AT(pointer, place) (*(lanes *)((pointer) + (place)))

/* One stage of radix 4 of Stockham's transform: `stride` independent ones of length `n` from x to y. `turn` is the step through
 * the table of turns of the whole transform, of length `whole`: exp(-2 pi i k / whole). */
static void stage4(complexes x, complexes y, uint32_t n, uint32_t stride, const float *turns, uint32_t whole) {
    uint32_t quarter = n / 4 * stride, turn = whole / n;
    for (uint32_t p = 0; p < n / 4; p++) {
        float c1 = turns[p * turn], s1 = turns[whole + p * turn];
        float c2 = turns[2 * p * turn], s2 = turns[whole + 2 * p * turn];
        float c3 = turns[3 * p * turn], s3 = turns[whole + 3 * p * turn];
        for (uint32_t q = 0; q < stride; q += LANES) {
            uint32_t from = q + stride * p, to = q + stride * 4 * p;
            lanes ar = AT(x.re, from), ai = AT(x.im, from);
            lanes br = AT(x.re, from + quarter), bi = AT(x.im, from + quarter);
            lanes cr = AT(x.re, from + 2 * quarter), ci = AT(x.im, from + 2 * quarter);
            lanes dr = AT(x.re, from + 3 * quarter), di = AT(x.im, from + 3 * quarter);
            lanes sum_r = ar + cr, sum_i = ai + ci, less_r = ar - cr, less_i = ai - ci;
            lanes other_r = br + dr, other_i = bi + di;
            lanes turned_r = bi - di, turned_i = dr - br; /* -i (b - d) */
            lanes one_r = less_r + turned_r, one_i = less_i + turned_i;
            lanes two_r = sum_r - other_r, two_i = sum_i - other_i;
            lanes three_r = less_r - turned_r, three_i = less_i - turned_i;
            AT(y.re, to) = sum_r + other_r;
            AT(y.im, to) = sum_i + other_i;
            AT(y.re, to + stride) = one_r * c1 - one_i * s1;
            AT(y.im, to + stride) = one_r * s1 + one_i * c1;
            AT(y.re, to + 2 * stride) = two_r * c2 - two_i * s2;
            AT(y.im, to + 2 * stride) = two_r * s2 + two_i * c2;
            AT(y.re, to + 3 * stride) = three_r * c3 - three_i * s3;
            AT(y.im, to + 3 * stride) = three_r * s3 + three_i * c3;
        }
    }
}

/* The last stage, of length 2. */
static void stage2(complexes x, complexes y, uint32_t stride) {
    for (uint32_t q = 0; q < stride; q += LANES) {
        lanes ar = AT(x.re, q), ai = AT(x.im, q), br = AT(x.re, q + stride), bi = AT(x.im, q + stride);
        AT(y.re, q) = ar + br;
        AT(y.im, q) = ai + bi;
        AT(y.re, q + stride) = ar - br;
        AT(y.im, q + stride) = ai - bi;
    }
}

/* `stride` transforms of length `n`, interleaved. Returns where the result is: x or y. */
static complexes transforms(complexes x, complexes y, uint32_t n, uint32_t stride, const float *turns) {
    for (uint32_t rest = n; rest > 1;) {
        if (rest >= 4) {
            stage4(x, y, rest, stride, turns, n);
            rest /= 4, stride *= 4;
        } else {
            stage2(x, y, stride);
            rest /= 2;
        }
        complexes swapped = x;
        x = y, y = swapped;
    }
    return x;
}

/* y [columns][rows] from x [rows][columns]. */
static void transpose(const float *x, float *y, uint32_t rows, uint32_t columns) {
#if LANES == 1
    for (uint32_t row = 0; row < rows; row += 8)
        for (uint32_t column = 0; column < columns; column++)
            for (uint32_t i = 0; i < 8; i++) y[column * rows + row + i] = x[(row + i) * columns + column];
#else
    for (uint32_t row = 0; row < rows; row += 4)
        for (uint32_t column = 0; column < columns; column += 4) {
            const float *from = x + row * columns + column;
            float *to = y + column * rows + row;
            const ws_quad a = WS_QUAD(from), b = WS_QUAD(from + columns), c = WS_QUAD(from + 2 * columns), d = WS_QUAD(from + 3 * columns);
            const ws_quad left_ab = WS_SHUFFLED(a, b, 0, 4, 1, 5), right_ab = WS_SHUFFLED(a, b, 2, 6, 3, 7);
            const ws_quad left_cd = WS_SHUFFLED(c, d, 0, 4, 1, 5), right_cd = WS_SHUFFLED(c, d, 2, 6, 3, 7);
            WS_QUAD(to) = WS_SHUFFLED(left_ab, left_cd, 0, 1, 4, 5);
            WS_QUAD(to + rows) = WS_SHUFFLED(left_ab, left_cd, 2, 3, 6, 7);
            WS_QUAD(to + 2 * rows) = WS_SHUFFLED(right_ab, right_cd, 0, 1, 4, 5);
            WS_QUAD(to + 3 * rows) = WS_SHUFFLED(right_ab, right_cd, 2, 3, 6, 7);
        }
#endif
}

/* Multiply x [rows][columns] by its turns, and transpose it into y [columns][rows]. */
static void turn_and_transpose(complexes x, complexes y, const float *turns, uint32_t rows, uint32_t columns) {
    uint32_t n = rows * columns;
    for (uint32_t i = 0; i < n; i += LANES) {
        lanes re = AT(x.re, i), im = AT(x.im, i), c = *(const lanes *)(turns + i), s = *(const lanes *)(turns + n + i);
        AT(x.re, i) = re * c - im * s;
        AT(x.im, i) = re * s + im * c;
    }
    transpose(x.re, y.re, rows, columns);
    transpose(x.im, y.im, rows, columns);
}

/* The spectrum of a real signal from that of its even and odd samples as one complex signal z: power of bins 0 to n, and zeros to
 * the end of the last four bins that a mel channel may use. */
static void powers(complexes z, const float *restrict half_turns, uint32_t n, float *restrict power) {
    const float *re = z.re, *im = z.im, *cosines = half_turns, *sines = half_turns + n / 2 + 1;
    for (uint32_t k = n + 1; k < n + 4; k++) power[k] = 0;
    power[0] = (re[0] + im[0]) * (re[0] + im[0]);
    power[n] = (re[0] - im[0]) * (re[0] - im[0]);
    for (uint32_t k = 1; k <= n / 2; k += LANES) {
        const uint32_t last = n - k - (LANES - 1);
        const lanes low_r = AT(re, k), low_i = AT(im, k), high_r = BACKWARD(AT(re, last)), high_i = BACKWARD(AT(im, last));
        const lanes c = AT(cosines, k), s = AT(sines, k);
        const lanes even_r = low_r + high_r, even_i = low_i - high_i, odd_r = low_i + high_i, odd_i = high_r - low_r;
        const lanes turned_r = odd_r * c - odd_i * s, turned_i = odd_r * s + odd_i * c;
        const lanes above_r = even_r + turned_r, above_i = even_i + turned_i;
        const lanes below_r = even_r - turned_r, below_i = even_i - turned_i;
        AT(power, last) = BACKWARD(0.25f * (below_r * below_r + below_i * below_i));
        AT(power, k) = 0.25f * (above_r * above_r + above_i * above_i);
    }
}

/* Natural logarithms of normal positive numbers, as Cephes' logf: of the part between sqrt(1/2) and sqrt(2), and the exponent. */
static inline lanes logarithms(lanes x) {
    words bits;
    memcpy(&bits, &x, sizeof bits);
    bits += 0x3f800000 - 0x3f3504f3;
    const lanes e = TO_FLOATS((wholes)(bits >> 23) - 127);
    bits = (bits & 0x7fffff) + 0x3f3504f3;
    lanes m;
    memcpy(&m, &bits, sizeof m);
    m = m - 1.0f;
    const lanes z = m * m;
    lanes p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return m + (m * z * p - 2.12194440e-4f * e - 0.5f * z) + 0.693359375f * e;
}

float ws_log(float x) {
    const lanes all = logarithms(x - (lanes){0});
    memcpy(&x, &all, sizeof x);
    return x;
}

/* The sum of `n_quads` times four products. */
static inline float sum_of_products(const float *weights, const float *bins, uint32_t n_quads) {
#if LANES == 1
    float sums[4] = {0};
    for (uint32_t i = 0; i < 4 * n_quads; i += 4) {
        sums[0] += weights[i] * bins[i];
        sums[1] += weights[i + 1] * bins[i + 1];
        sums[2] += weights[i + 2] * bins[i + 2];
        sums[3] += weights[i + 3] * bins[i + 3];
    }
#else
    ws_quad sums = {0};
    for (uint32_t i = 0; i < 4 * n_quads; i += 4) sums += WS_QUAD(weights + i) * WS_QUAD(bins + i);
#endif
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static void mel_channels(const ws_model *model, const float *power, float *features) {
    const float *weights = model->mel_weights;
    const uint32_t n_mels = model->n_mels;
    for (uint32_t i = 0; i < n_mels; i++) {
        features[i] = sum_of_products(weights, power + model->mel_starts[i], model->mel_quads[i]) + model->log_floor;
        weights += 4 * model->mel_quads[i];
    }
    uint32_t i = 0;
    for (; i + LANES <= n_mels; i += LANES) AT(features, i) = (logarithms(AT(features, i)) - model->log_mean) * model->log_scale;
    for (; i < n_mels; i++) features[i] = (ws_log(features[i]) - model->log_mean) * model->log_scale;
}

/* Take in a hop of samples, and compute the features [n_mels] of the newest window. */
void ws_features(ws_stream *stream, const ws_sample *hop, float *features) {
    const ws_model *model = &stream->model;
    uint32_t n = model->n_fft / 2, used = (model->window + 1) / 2;
    for (uint32_t start = 0; start < model->kept; start += model->hop)
        memcpy(stream->sound + start, stream->sound + start + model->hop, model->hop * sizeof *hop);
    memcpy(stream->sound + model->kept, hop, model->hop * sizeof *hop);
    complexes x = {stream->wave, stream->wave + n}, y = {stream->other, stream->other + n};
    const ws_sample *restrict sound = stream->sound;
    const float *restrict window = model->window_values;
    for (uint32_t i = 0; i < used; i++) {
        x.re[i] = (float)sound[2 * i] * window[2 * i];
        x.im[i] = (float)sound[2 * i + 1] * window[2 * i + 1];
    }
    memset(x.re + used, 0, (n - used) * sizeof *x.re);
    memset(x.im + used, 0, (n - used) * sizeof *x.im);
    complexes first = transforms(x, y, model->rows, model->columns, model->row_turns);
    complexes second = first.re == x.re ? y : x;
    turn_and_transpose(first, second, model->turns, model->rows, model->columns);
    complexes z = transforms(second, first, model->columns, model->rows, model->column_turns);
    float *power = z.re == x.re ? y.re : x.re;
    powers(z, model->half_turns, n, power);
    mel_channels(model, power, features);
}
