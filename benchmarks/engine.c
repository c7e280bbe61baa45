/* For engine.py, which compiles it with the engine:
 *
 *     engine scores BLOB SAMPLES HOPS_A_CALL OUT       float32 rows to OUT
 *     engine time BLOB SAMPLES HOPS_A_CALL PASSES      microseconds of processor time a hop: the median and the least of so many
 *                                                      passes over a second of sound
 *     engine load BLOB SAMPLES 1 OUT                   milliseconds until a stream is there, kB of resident memory after a second
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wordspot.h"

static void *read_file(const char *name, size_t *n) {
    FILE *file = fopen(name, "rb");
    if (!file) exit(2);
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(*n + 64);
    if (!data) exit(2);
    data += 64 - (uintptr_t)data % 64;
    if (fread(data, 1, *n, file) != *n) exit(2);
    fclose(file);
    return data;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_size(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void feed(ws_stream *stream, const int16_t *samples, size_t n_hops, size_t size, float *scores) {
    const ws_facts facts = ws_about(stream);
    for (size_t at = 0; at < n_hops; at += size)
        ws_feed(stream, samples + at * facts.hop_samples, n_hops - at < size ? n_hops - at : size,
                scores + at * facts.n_labels, NULL, 0);
}

static void print_times(ws_stream *stream, const int16_t *samples, size_t n_hops, size_t size, long n_passes, float *scores) {
    const ws_facts facts = ws_about(stream);
    const size_t a_pass = (facts.sample_rate / facts.hop_samples + size - 1) / size * size;
    double *times = malloc((size_t)n_passes * sizeof *times);
    for (long i = 0; i < n_passes; i++) {
        const int16_t *from = samples + (size_t)i % (n_hops / a_pass) * a_pass * facts.hop_samples;
        const double begun = seconds();
        feed(stream, from, a_pass, size, scores);
        times[i] = 1e6 * (seconds() - begun) / (double)a_pass;
    }
    qsort(times, (size_t)n_passes, sizeof *times, by_size);
    printf("%.6g %.6g\n", times[n_passes / 2], times[0]);
}

static void print_memory(double began) {
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    long kilobytes = 0;
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %ld", &kilobytes) == 1) break;
    printf("%.6g %ld\n", 1e3 * began, kilobytes);
}

int main(int n_arguments, char **arguments) {
    if (n_arguments != 6) return 2;
    size_t n_blob, n_bytes;
    const double begun = seconds();
    const void *blob = read_file(arguments[2], &n_blob);
    const size_t bytes = ws_size(blob, n_blob), size = strtoul(arguments[4], NULL, 10);
    void *memory = malloc(bytes ? bytes : 1);
    ws_stream *stream = ws_init(memory, bytes, blob, n_blob);
    const double began = seconds() - begun;
    const int16_t *samples = read_file(arguments[3], &n_bytes);
    if (!stream || !size) return 3;
    const ws_facts facts = ws_about(stream);
    const size_t n_hops = n_bytes / 2 / facts.hop_samples;
    float *scores = malloc((n_hops + size) * facts.n_labels * sizeof *scores);
    if (strcmp(arguments[1], "time") == 0) {
        print_times(stream, samples, n_hops, size, atol(arguments[5]), scores);
        return 0;
    }
    feed(stream, samples, n_hops, size, scores);
    if (strcmp(arguments[1], "load") == 0) {
        print_memory(began);
        return 0;
    }
    FILE *out = fopen(arguments[5], "wb");
    if (!out || fwrite(scores, facts.n_labels * sizeof *scores, n_hops, out) != n_hops) return 4;
    return fclose(out);
}
