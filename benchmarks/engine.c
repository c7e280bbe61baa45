/* For engine.py: scores of raw samples, or the time of a hop.
 *
 *     engine scores BLOB SAMPLES HOPS_A_CALL OUT      float32 rows to OUT
 *     engine time BLOB SAMPLES HOPS_A_CALL REPEATS    seconds a hop, the least of so many passes over a second of sound
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
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int n_arguments, char **arguments) {
    if (n_arguments != 6) return 2;
    size_t n_blob, n_bytes;
    const void *blob = read_file(arguments[2], &n_blob);
    const int16_t *samples = read_file(arguments[3], &n_bytes);
    const size_t bytes = ws_size(blob, n_blob), size = strtoul(arguments[4], NULL, 10);
    void *memory = malloc(bytes ? bytes : 1);
    ws_stream *stream = ws_init(memory, bytes, blob, n_blob);
    if (!stream || !size) return 3;
    const ws_facts facts = ws_about(stream);
    size_t n_hops = n_bytes / 2 / facts.hop_samples;
    float *scores = malloc((n_hops + 1) * facts.n_labels * sizeof *scores);
    if (strcmp(arguments[1], "scores") == 0) {
        for (size_t at = 0; at < n_hops; at += size)
            ws_feed(stream, samples + at * facts.hop_samples, n_hops - at < size ? n_hops - at : size,
                    scores + at * facts.n_labels, NULL, 0);
        FILE *out = fopen(arguments[5], "wb");
        if (!out || fwrite(scores, facts.n_labels * sizeof *scores, n_hops, out) != n_hops) return 4;
        return fclose(out);
    }
    const size_t a_pass = facts.sample_rate / facts.hop_samples / size * size + size, n_passes = n_hops / a_pass;
    double least = 1e9;
    for (long i = atol(arguments[5]); i; i--) {
        const int16_t *from = samples + (size_t)i % n_passes * a_pass * facts.hop_samples;
        const double begun = seconds();
        for (size_t at = 0; at < a_pass; at += size) ws_feed(stream, from + at * facts.hop_samples, size, scores, NULL, 0);
        const double each = (seconds() - begun) / (double)a_pass;
        least = each < least ? each : least;
    }
    printf("%.9g\n", least);
    return 0;
}
