/* The library that Python loads: the engine for float samples, and a test whether this processor has AVX2.
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

enum { INTERFACE = 1 }; /* raised with every change of the functions below; library.py has the same number */

EXPORTED uint32_t wordspot_interface(void);
EXPORTED uint32_t wordspot_has_avx2(void);
EXPORTED size_t wordspot_size(const void *blob, size_t blob_bytes);
EXPORTED void *wordspot_init(void *memory, size_t memory_bytes, const void *blob, size_t blob_bytes);
EXPORTED void wordspot_feed(void *stream, const ws_sample *audio, size_t n_hops, float *scores);
EXPORTED void wordspot_reset(void *stream);
EXPORTED float wordspot_self_test(void *stream);

uint32_t wordspot_interface(void) {
    return INTERFACE;
}

/* 1 if this processor has AVX2 and FMA and its operating system saves their registers, else 0. */
uint32_t wordspot_has_avx2(void) {
#if defined(__x86_64__)
    uint32_t a, b, c, d, low, high;
    const uint32_t avx2 = 1u << 5, fma = 1u << 12, reads_saved = 1u << 27, avx = 1u << 28, needed = fma | reads_saved | avx;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & avx2)) return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & needed) != needed) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
#else
    return 0;
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
