/* Activations in 16 bits. */
#include "internal.h"

/* The largest size of a number, or NaN if there is one: of positive floats, the larger has the larger bits. */
static float largest(const float *x, uint32_t n) {
    int32_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    float result;
    memcpy(&result, &most, 4);
    return result;
}

#if WS_LANES == 16
#define SWAPPED 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15
#elif WS_LANES == 8
#define SWAPPED 0, 2, 1, 3, 4, 6, 5, 7
#else
#define SWAPPED 0, 2, 1, 3
#endif

/* The nearest integers, halves away from zero. */
static inline void round_all(const float *restrict x, float scale, int16_t *restrict small, uint32_t n, int swapped) {
    uint32_t i = 0;
#if WS_LANES > 1
    for (; i + WS_LANES <= n; i += WS_LANES) {
        const ws_vector value = ws_load(x + i) * scale;
        const ws_vector half = (ws_vector)(((ws_bits)value & INT32_MIN) | 0x3f000000); /* with the value's sign */
        ws_bits whole = __builtin_convertvector(value + half, ws_bits);
        if (swapped) whole = WS_SHUFFLED(whole, whole, SWAPPED);
        *(ws_shorts *)(small + i) = __builtin_convertvector(whole, ws_shorts);
    }
#endif
    const uint32_t rest = i;
    for (; i < n; i++) {
        const float value = x[i] * scale;
        small[i] = (int16_t)(value < 0 ? value - 0.5f : value + 0.5f);
    }
    for (i = rest; swapped && i < n; i += 4) {
        const int16_t second = small[i + 1];
        small[i + 1] = small[i + 2];
        small[i + 2] = second;
    }
}

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
