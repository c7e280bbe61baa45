/* For engine.py: the most multiply-adds a second that one core of an x86-64 processor does, in billions, for each kind of vector
 * that it has. "name number", one a line. */
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

enum { CHAINS = 12, ROUNDS = 1000000, PASSES = 20 };

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A function that runs an instruction in twelve independent chains, all in registers. */
#define MEASURED(name, type, count, instruction, ...)                                                                    \
    __attribute__((noinline, target(__VA_ARGS__))) static void name(void) {                                              \
        double least = 1e9;                                                                                              \
        for (int pass = 0; pass < PASSES; pass++) {                                                                      \
            type chains[CHAINS] = {0}, one = {0};                                                                        \
            const double begun = seconds();                                                                              \
            for (int round = 0; round < ROUNDS; round++)                                                                 \
                _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++)                                                \
                    __asm__ volatile(instruction : "+v"(chains[i]) : "v"(one));                                          \
            const double took = seconds() - begun;                                                                       \
            least = took < least ? took : least;                                                                         \
        }                                                                                                                \
        printf(#name " %.1f\n", 1e-9 * CHAINS * ROUNDS * count / least);                                                 \
    }

MEASURED(floats_256, __m256, 8, "vfmadd231ps %1, %1, %0", "avx2,fma")
MEASURED(floats_512, __m512, 16, "vfmadd231ps %1, %1, %0", "avx512f")
MEASURED(int16_512, __m512i, 32, "vpdpwssd %1, %1, %0", "avx512vnni")
MEASURED(int8_512, __m512i, 64, "vpdpbusd %1, %1, %0", "avx512vnni")

int main(void) {
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) floats_256();
    if (!__builtin_cpu_supports("avx512f")) return 0;
    floats_512();
    if (!__builtin_cpu_supports("avx512vnni")) return 0;
    int16_512();
    int8_512();
    return 0;
}
