/* The library that Python loads: the engine for float samples, and a test of which vectors this processor has.
 *
 * src/wordspot/runtime/modelfile/engine/compile.py builds it once for each kind of vectors. Exported sources do not contain it. */
#include "wordspot.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

enum { INTERFACE = 2 }; /* raised with every change of the functions below; library.py has the same number */

EXPORTED uint32_t wordspot_interface(void);
EXPORTED uint32_t wordspot_lanes(void);
EXPORTED size_t wordspot_size(const void *blob, size_t blob_bytes);
EXPORTED void *wordspot_init(void *memory, size_t memory_bytes, const void *blob, size_t blob_bytes);
EXPORTED void wordspot_feed(void *stream, const ws_sample *audio, size_t n_hops, float *scores);
EXPORTED void wordspot_reset(void *stream);
EXPORTED float wordspot_self_test(void *stream);

uint32_t wordspot_interface(void) {
    return INTERFACE;
}

#if defined(__x86_64__)
/* The registers that the operating system saves: bits of XCR0, or 0. */
static uint32_t saved_registers(void) {
    uint32_t a, b, c, d, low, high;
    const uint32_t reads_saved = 1u << 27, avx = 1u << 28, fma = 1u << 12, needed = reads_saved | avx | fma;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & needed) != needed) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif

/* Floats in the widest vectors that are worth using: 16 if this processor has AVX-512 with VNNI and its operating system saves
 * the registers, 8 if so with AVX2 and FMA, else 4. Processors with AVX-512 but without VNNI slow down while they use it. */
uint32_t wordspot_lanes(void) {
#if defined(__x86_64__)
    uint32_t a, b, c, d;
    const uint32_t avx2 = 1u << 5, f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31, vnni = 1u << 11;
    const uint32_t avx512 = f | dq | bw | vl, ymm = 6, zmm = 0xe6, saved = saved_registers();
    if ((saved & ymm) != ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & avx2)) return 4;
    return (saved & zmm) == zmm && (b & avx512) == avx512 && (c & vnni) ? 16 : 8;
#else
    return 4;
#endif
}

size_t wordspot_size(const void *blob, size_t blob_bytes) {
    return ws_size(blob, blob_bytes);
}

void *wordspot_init(void *memory, size_t memory_bytes, const void *blob, size_t blob_bytes) {
    return ws_init(memory, memory_bytes, blob, blob_bytes);
}

/* audio: [n_hops * hop_samples]; scores: receives [n_hops][n_labels] posteriors. */
void wordspot_feed(void *stream, const ws_sample *audio, size_t n_hops, float *scores) {
    ws_feed(stream, audio, n_hops, scores, NULL, 0);
}

void wordspot_reset(void *stream) {
    ws_reset(stream);
}

float wordspot_self_test(void *stream) {
    return ws_self_test(stream, NULL);
}
