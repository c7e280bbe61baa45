/* Matrix products of weights in 8 bits and activations in 16 bits. */
#include "internal.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#elif defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

#if WS_LANES == 1
#define TO_FLOATS(numbers) ((float)*(numbers))

/* The largest size of a number; NaNs, which a damaged model may give, do not count. */
static float largest(const float *x, uint32_t n) {
    float most = 0;
    for (uint32_t i = 0; i < n; i++) {
        float size = x[i] < 0 ? -x[i] : x[i];
        most = size > most ? size : most;
    }
    return most;
}

/* The nearest integer; x >= -32767, or NaN. */
static inline int16_t rounded(float x) {
    x = x < 32767.0f ? x : 32767.0f;
    return (int16_t)(x < 0 ? x - 0.5f : x + 0.5f);
}

static inline void round_all(const float *restrict x, float scale, int16_t *restrict small, uint32_t n, int swapped) {
    const int one = swapped ? 2 : 1, two = 3 - one;
    for (uint32_t i = 0; i < n; i += 4) {
        small[i] = rounded(x[i] * scale);
        small[i + one] = rounded(x[i + 1] * scale);
        small[i + two] = rounded(x[i + 2] * scale);
        small[i + 3] = rounded(x[i + 3] * scale);
    }
}
#else
#define TO_FLOATS(numbers) __builtin_convertvector(*(const ws_bits *)(numbers), ws_vector)
typedef int32_t four_bits __attribute__((vector_size(16)));
typedef int16_t four_shorts __attribute__((vector_size(8), aligned(2), may_alias));

/* The largest size of a number, or NaN if there is one: of positive floats, the larger has the larger bits. */
static float largest(const float *x, uint32_t n) {
    four_bits most = {0};
    for (uint32_t i = 0; i < n; i += 4) {
        const four_bits size = (four_bits)WS_QUAD(x + i) & 0x7fffffff, more = size > most;
        most = (size & more) | (most & ~more);
    }
    int32_t bits = most[0];
    for (int i = 1; i < 4; i++) bits = most[i] > bits ? most[i] : bits;
    float result;
    memcpy(&result, &bits, 4);
    return result;
}

static inline void round_all(const float *restrict x, float scale, int16_t *restrict small, uint32_t n, int swapped) {
    for (uint32_t i = 0; i < n; i += 4) {
        const ws_quad value = WS_QUAD(x + i) * scale;
        const ws_quad half = (ws_quad)(((four_bits)value & INT32_MIN) | 0x3f000000); /* with the value's sign */
        four_bits whole = __builtin_convertvector(value + half, four_bits);
        if (swapped) whole = WS_SHUFFLED(whole, whole, 0, 2, 1, 3);
        *(four_shorts *)(small + i) = __builtin_convertvector(whole, four_shorts);
    }
}
#endif

/* Round activations to 16 bits, scaled so that the largest becomes 32767; of every four, the middle two change places if
 * `swapped`. Returns the scale. */
float ws_to_16_bits(const float *restrict x, int16_t *restrict small, uint32_t n, int swapped) {
    const float most = largest(x, n);
    if (!(most > 1e-30f && most < 1e30f)) {
        memset(small, 0, n * sizeof *small);
        return 0;
    }
    round_all(x, 32767.0f / most, small, n, swapped);
    return most / 32767.0f;
}

/* Sums of products of 16 outputs, from `out` on. Weights are [n_in / 4][n_out][4], of every four inputs the first, third, second
 * and fourth: what SXTB16 of Cortex-M needs, and the other processors do not mind. A sum is at most 512 * 127 * 32767. */
#if defined(__AVX2__)
WS_INLINE void integers(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
    const int8_t *weights = matrix->integers + 4 * out;
    __m256i parts[12]; /* two sums for each of 4 outputs */
    WS_UNROLLED for (int g = 0; g < 4 * G; g++) parts[g] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < matrix->n_in; i += 4, weights += 4 * matrix->n_out) {
        int64_t four;
        memcpy(&four, x + i, 8);
        const __m256i inputs = _mm256_set1_epi64x(four);
        WS_UNROLLED for (int g = 0; g < 4 * G; g++) {
            const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(weights + 16 * g)));
            parts[g] = _mm256_add_epi32(parts[g], _mm256_madd_epi16(wide, inputs));
        }
    }
    WS_UNROLLED for (int g = 0; g < 4 * G; g += 2) {
        const __m256i pairs = _mm256_hadd_epi32(parts[g], parts[g + 1]);
        _mm256_storeu_si256((__m256i *)(sums + 4 * g), _mm256_permute4x64_epi64(pairs, 0xd8));
    }
}
#define SWAPPED 1
#elif defined(__SSE2__)
WS_INLINE void integers(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
    const int8_t *weights = matrix->integers + 4 * out;
    for (int half = 0; half < 2 * G; half++, weights += 32) {
        __m128i parts[4];
        const int8_t *from = weights;
        WS_UNROLLED for (int g = 0; g < 4; g++) parts[g] = _mm_setzero_si128();
        for (uint32_t i = 0; i < matrix->n_in; i += 4, from += 4 * matrix->n_out) {
            const __m128i one = _mm_loadl_epi64((const __m128i *)(x + i)), inputs = _mm_unpacklo_epi64(one, one);
            WS_UNROLLED for (int g = 0; g < 2; g++) {
                const __m128i bytes = _mm_loadu_si128((const __m128i *)(from + 16 * g));
                const __m128i low = _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
                const __m128i high = _mm_srai_epi16(_mm_unpackhi_epi8(bytes, bytes), 8);
                parts[2 * g] = _mm_add_epi32(parts[2 * g], _mm_madd_epi16(low, inputs));
                parts[2 * g + 1] = _mm_add_epi32(parts[2 * g + 1], _mm_madd_epi16(high, inputs));
            }
        }
        int32_t all[16];
        WS_UNROLLED for (int g = 0; g < 4; g++) _mm_storeu_si128((__m128i *)(all + 4 * g), parts[g]);
        for (int i = 0; i < 8; i++) sums[8 * half + i] = all[2 * i] + all[2 * i + 1];
    }
}
#define SWAPPED 1
#elif defined(__wasm_simd128__)
WS_INLINE void integers(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
    const int8_t *weights = matrix->integers + 4 * out;
    for (int half = 0; half < 2 * G; half++, weights += 32) {
        v128_t parts[4];
        const int8_t *from = weights;
        WS_UNROLLED for (int g = 0; g < 4; g++) parts[g] = wasm_i32x4_const_splat(0);
        for (uint32_t i = 0; i < matrix->n_in; i += 4, from += 4 * matrix->n_out) {
            const v128_t inputs = wasm_v128_load64_splat(x + i);
            WS_UNROLLED for (int g = 0; g < 2; g++) {
                const v128_t low = wasm_i16x8_load8x8(from + 16 * g), high = wasm_i16x8_load8x8(from + 16 * g + 8);
                parts[2 * g] = wasm_i32x4_add(parts[2 * g], wasm_i32x4_dot_i16x8(low, inputs));
                parts[2 * g + 1] = wasm_i32x4_add(parts[2 * g + 1], wasm_i32x4_dot_i16x8(high, inputs));
            }
        }
        int32_t all[16];
        WS_UNROLLED for (int g = 0; g < 4; g++) wasm_v128_store(all + 4 * g, parts[g]);
        for (int i = 0; i < 8; i++) sums[8 * half + i] = all[2 * i] + all[2 * i + 1];
    }
}
#define SWAPPED 1
#elif defined(__ARM_NEON)
WS_INLINE void integers(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
    const int8_t *weights = matrix->integers + 4 * out;
    int32x4_t parts[12]; /* of 4 outputs each */
    WS_UNROLLED for (int g = 0; g < 4 * G; g++) parts[g] = vdupq_n_s32(0);
    for (uint32_t i = 0; i < matrix->n_in; i += 4, weights += 4 * matrix->n_out) {
        const int16x4_t inputs = vld1_s16(x + i);
        WS_UNROLLED for (int g = 0; g < 4 * G; g += 2) {
            const int8x8x4_t bytes = vld4_s8(weights + 16 * g); /* four times the weights of one input and 8 outputs */
            const int16x8_t a = vmovl_s8(bytes.val[0]), b = vmovl_s8(bytes.val[1]);
            const int16x8_t c = vmovl_s8(bytes.val[2]), d = vmovl_s8(bytes.val[3]);
            parts[g] = vmlal_lane_s16(parts[g], vget_low_s16(a), inputs, 0);
            parts[g] = vmlal_lane_s16(parts[g], vget_low_s16(b), inputs, 1);
            parts[g] = vmlal_lane_s16(parts[g], vget_low_s16(c), inputs, 2);
            parts[g] = vmlal_lane_s16(parts[g], vget_low_s16(d), inputs, 3);
            parts[g + 1] = vmlal_lane_s16(parts[g + 1], vget_high_s16(a), inputs, 0);
            parts[g + 1] = vmlal_lane_s16(parts[g + 1], vget_high_s16(b), inputs, 1);
            parts[g + 1] = vmlal_lane_s16(parts[g + 1], vget_high_s16(c), inputs, 2);
            parts[g + 1] = vmlal_lane_s16(parts[g + 1], vget_high_s16(d), inputs, 3);
        }
    }
    WS_UNROLLED for (int g = 0; g < 4 * G; g++) vst1q_s32(sums + 4 * g, parts[g]);
}
#define SWAPPED 1
#elif defined(__ARM_FEATURE_DSP)
typedef uint32_t word __attribute__((may_alias));

static inline int32_t second_and_fourth(uint32_t bytes) {
    int32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(bytes)); /* compilers do not fold the rotation */
    return result;
}

/* Four sums, which with their weights and inputs just fit into the registers. */
static __attribute__((noinline)) void four_sums(const word *weights, uint32_t n_out, const word *x, const word *end, int32_t *sums) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (; x < end; x += 2, weights += n_out) {
        const int32_t first = x[0], second = x[1];
        const uint32_t wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
        a = __smlad(second_and_fourth(wa), second, __smlad(__sxtb16(wa), first, a));
        b = __smlad(second_and_fourth(wb), second, __smlad(__sxtb16(wb), first, b));
        c = __smlad(second_and_fourth(wc), second, __smlad(__sxtb16(wc), first, c));
        d = __smlad(second_and_fourth(wd), second, __smlad(__sxtb16(wd), first, d));
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

WS_INLINE void integers(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
    const word *inputs = (const word *)x, *weights = (const word *)matrix->integers + out;
    for (int part = 0; part < 16 * G; part += 4)
        four_sums(weights + part, matrix->n_out, inputs, inputs + matrix->n_in / 2, sums + part);
}
#define SWAPPED 0
#else
WS_INLINE void integers(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
    const int8_t *weights = matrix->integers + 4 * out;
    for (int o = 0; o < 16 * G; o++) sums[o] = 0;
    for (uint32_t i = 0; i < matrix->n_in; i += 4, weights += 4 * matrix->n_out) {
        const int32_t a = x[i], b = x[i + 1], c = x[i + 2], d = x[i + 3];
        for (int o = 0; o < 16 * G; o++)
            sums[o] += weights[4 * o] * a + weights[4 * o + 1] * b + weights[4 * o + 2] * c + weights[4 * o + 3] * d;
    }
}
#define SWAPPED 1
#endif

/* Rows of inputs that begin `step` apart, all rounded with the same scale. */
void ws_multiply_integers(const ws_matrix *matrix, const float *x, uint32_t step, float *y, uint32_t n_rows, int relu,
                              int16_t *small) {
    const float scale = ws_to_16_bits(x, small, (n_rows - 1) * step + matrix->n_in, SWAPPED);
    for (uint32_t row = 0; row < n_rows; row++, small += step, y += matrix->n_out) {
        for (uint32_t out = 0; out < matrix->n_out;) {
            int32_t sums[48];
            const uint32_t n = matrix->n_out - out >= 48 ? 48 : 16;
            if (n == 48)
                integers(3, matrix, out, small, sums);
            else
                integers(1, matrix, out, small, sums);
            for (uint32_t i = 0; i < n; i += WS_LANES, out += WS_LANES) {
                const ws_vector sum = TO_FLOATS(sums + i) * (scale * ws_load(matrix->factors + out)) + ws_load(matrix->bias + out);
                ws_store(y + out, relu ? ws_relu(sum) : sum);
            }
        }
    }
}
