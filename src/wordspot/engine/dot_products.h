/* Sums of products of 8-bit weights and 16-bit activations, for each kind of processor: of ROWS rows of activations, which begin
 * `step` apart, and 16 * G outputs, from `out` on, `sums` [rows][16 * G]. They are exact, so all kinds give the same.
 *
 * Weights are [n_in / 4][n_out][4], of every four inputs the first, third, second and fourth: what SXTB16 of Cortex-M needs, and
 * the other processors do not mind. A sum is at most 512 * 127 * 32767. */
#ifndef WORDSPOT_DOT_PRODUCTS_H
#define WORDSPOT_DOT_PRODUCTS_H

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

#if defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__)
/* Add the products of pairs of 16-bit integers to sums. GCC 12 copies the sums before and after its intrinsic function. */
WS_INLINE __m512i multiply_add(__m512i sums, __m512i weights, __m512i inputs) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(weights), "v"(inputs));
    return sums;
}

WS_INLINE void dot_products(const int G, const int R, const ws_matrix *matrix, uint32_t out, const int16_t *x, uint32_t step,
                            int32_t *sums) {
    const int8_t *weights = matrix->integers + 4 * out;
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    __m512i parts[16], wide[6]; /* two sums for each of 8 outputs */
    WS_UNROLLED for (int g = 0; g < 2 * G * R; g++) parts[g] = _mm512_setzero_si512();
    for (size_t i = 0; i < matrix->n_in; i += 4, weights += 4 * (size_t)matrix->n_out) {
        WS_UNROLLED for (int g = 0; g < 2 * G; g++)
            wide[g] = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(weights + 32 * g)));
        WS_UNROLLED for (int r = 0; r < R; r++) {
            int64_t four;
            memcpy(&four, x + (size_t)r * step + i, 8);
            const __m512i inputs = _mm512_set1_epi64(four);
            WS_UNROLLED for (int g = 0; g < 2 * G; g++)
                parts[2 * G * r + g] = multiply_add(parts[2 * G * r + g], wide[g], inputs);
        }
    }
    WS_UNROLLED for (int g = 0; g < 2 * G * R; g += 2) {
        const __m512i first = _mm512_permutex2var_epi32(parts[g], even, parts[g + 1]);
        const __m512i second = _mm512_permutex2var_epi32(parts[g], odd, parts[g + 1]);
        _mm512_storeu_si512(sums + 8 * g, _mm512_add_epi32(first, second));
    }
}
#define SWAPPED 1
#define ROWS 8
#elif defined(__AVX2__)
WS_INLINE __m256i multiply_add(__m256i sums, __m256i weights, __m256i inputs) {
#if defined(__AVXVNNI__)
    return _mm256_dpwssd_avx_epi32(sums, weights, inputs);
#else
    return _mm256_add_epi32(sums, _mm256_madd_epi16(weights, inputs));
#endif
}

WS_INLINE void dot_products(const int G, const int R, const ws_matrix *matrix, uint32_t out, const int16_t *x, uint32_t step,
                            int32_t *sums) {
    const int8_t *weights = matrix->integers + 4 * out;
    __m256i parts[12]; /* two sums for each of 4 outputs */
    WS_UNROLLED for (int g = 0; g < 4 * G * R; g++) parts[g] = _mm256_setzero_si256();
    for (size_t i = 0; i < matrix->n_in; i += 4, weights += 4 * (size_t)matrix->n_out) {
        __m256i inputs[2];
        WS_UNROLLED for (int r = 0; r < R; r++) {
            int64_t four;
            memcpy(&four, x + (size_t)r * step + i, 8);
            inputs[r] = _mm256_set1_epi64x(four);
        }
        WS_UNROLLED for (int g = 0; g < 4 * G; g++) {
            const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(weights + 16 * g)));
            WS_UNROLLED for (int r = 0; r < R; r++) parts[4 * G * r + g] = multiply_add(parts[4 * G * r + g], wide, inputs[r]);
        }
    }
    WS_UNROLLED for (int g = 0; g < 4 * G * R; g += 2) {
        const __m256i pairs = _mm256_hadd_epi32(parts[g], parts[g + 1]);
        _mm256_storeu_si256((__m256i *)(sums + 4 * g), _mm256_permute4x64_epi64(pairs, 0xd8));
    }
}
#define SWAPPED 1
#define ROWS 2
#elif defined(__SSE2__)
WS_INLINE void one_row(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
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
WS_INLINE void one_row(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
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
WS_INLINE void one_row(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
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

WS_INLINE void one_row(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
    const word *inputs = (const word *)x, *weights = (const word *)matrix->integers + out;
    for (int part = 0; part < 16 * G; part += 4)
        four_sums(weights + part, matrix->n_out, inputs, inputs + matrix->n_in / 2, sums + part);
}
#define SWAPPED 0
#else
WS_INLINE void one_row(const int G, const ws_matrix *matrix, uint32_t out, const int16_t *x, int32_t *sums) {
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

#ifndef ROWS
#define ROWS 1
WS_INLINE void dot_products(const int G, const int R, const ws_matrix *matrix, uint32_t out, const int16_t *x, uint32_t step,
                            int32_t *sums) {
    for (int r = 0; r < R; r++) one_row(G, matrix, out, x + (size_t)r * step, sums + 16 * G * r);
}
#endif

#endif
