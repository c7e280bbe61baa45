/* Log-mel features: window, real Fourier transform, power, mel channels as sparse sums, logarithm. */
#include "internal.h"

/* Lanes of the transform: every stage works on runs of at least 8 numbers. */
#define LANES (WS_LANES > 8 ? 8 : WS_LANES)
#if LANES == 1
typedef float lanes;
#else
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
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

/* Multiply x [rows][columns] by its turns, and transpose it into y [columns][rows]. */
static void turn_and_transpose(complexes x, complexes y, const float *turns, uint32_t rows, uint32_t columns) {
    uint32_t n = rows * columns;
    for (uint32_t i = 0; i < n; i += LANES) {
        lanes re = AT(x.re, i), im = AT(x.im, i), c = *(const lanes *)(turns + i), s = *(const lanes *)(turns + n + i);
        AT(x.re, i) = re * c - im * s;
        AT(x.im, i) = re * s + im * c;
    }
    for (uint32_t row = 0; row < rows; row += 8)
        for (uint32_t column = 0; column < columns; column++)
            for (uint32_t i = 0; i < 8; i++) {
                y.re[column * rows + row + i] = x.re[(row + i) * columns + column];
                y.im[column * rows + row + i] = x.im[(row + i) * columns + column];
            }
}

/* The spectrum of a real signal from that of its even and odd samples as one complex signal z: power of bins 0 to n, and zeros to
 * the end of the last four bins that a mel channel may use. */
static void powers(complexes z, const float *restrict half_turns, uint32_t n, float *restrict power) {
    const float *restrict cosines = half_turns, *restrict sines = half_turns + n / 2 + 1;
    const float *restrict re = z.re, *restrict im = z.im;
    for (uint32_t k = n + 1; k < n + 4; k++) power[k] = 0;
    power[0] = (re[0] + im[0]) * (re[0] + im[0]);
    power[n] = (re[0] - im[0]) * (re[0] - im[0]);
    for (uint32_t k = 1; k <= n / 2; k++) {
        float even_r = 0.5f * (re[k] + re[n - k]), even_i = 0.5f * (im[k] - im[n - k]);
        float odd_r = 0.5f * (im[k] + im[n - k]), odd_i = 0.5f * (re[n - k] - re[k]);
        float turned_r = odd_r * cosines[k] - odd_i * sines[k], turned_i = odd_r * sines[k] + odd_i * cosines[k];
        float above_r = even_r + turned_r, above_i = even_i + turned_i;
        float below_r = even_r - turned_r, below_i = even_i - turned_i;
        power[k] = above_r * above_r + above_i * above_i;
        power[n - k] = below_r * below_r + below_i * below_i;
    }
}

/* Natural logarithm of a normal positive number, as Cephes' logf. */
float ws_log(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    int32_t exponent = (int32_t)(bits >> 23) - 126;
    bits = (bits & 0x7fffff) | 0x3f000000; /* 0.5 to 1 */
    float m;
    memcpy(&m, &bits, 4);
    int32_t is_low = m < 0.70710678f;
    m = m + (is_low ? m : 0.0f) - 1.0f;
    float e = (float)(exponent - is_low), z = m * m;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return m + (m * z * p - 2.12194440e-4f * e - 0.5f * z) + 0.693359375f * e;
}

static void mel_channels(const ws_model *model, const float *power, float *features) {
    const float *weights = model->mel_weights;
    for (uint32_t i = 0; i < model->n_mels; i++) {
        const float *bins = power + model->mel_starts[i];
        float a = 0, b = 0, c = 0, d = 0;
        for (uint32_t j = 0; j < model->mel_quads[i]; j++, weights += 4, bins += 4) {
            a += weights[0] * bins[0];
            b += weights[1] * bins[1];
            c += weights[2] * bins[2];
            d += weights[3] * bins[3];
        }
        features[i] = (a + b) + (c + d) + model->log_floor;
    }
    for (uint32_t i = 0; i < model->n_mels; i++)
        features[i] = (ws_log(features[i]) - model->log_mean) * model->log_scale;
}

/* Take in a hop of samples, and compute the features [n_mels] of the newest window. */
void ws_features(ws_stream *stream, const int16_t *hop, float *features) {
    const ws_model *model = &stream->model;
    uint32_t n = model->n_fft / 2, used = (model->window + 1) / 2;
    for (uint32_t start = 0; start < model->kept; start += model->hop)
        memcpy(stream->sound + start, stream->sound + start + model->hop, model->hop * sizeof *hop);
    memcpy(stream->sound + model->kept, hop, model->hop * sizeof *hop);
    complexes x = {stream->wave, stream->wave + n}, y = {stream->other, stream->other + n};
    const int16_t *restrict sound = stream->sound;
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
