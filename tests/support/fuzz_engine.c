/* Mutate a blob, and run the engine on what its reader still accepts: fuzz_engine BLOB COUNT SEED. Built with sanitizers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wordspot.h"

static uint64_t state;

static uint32_t random_below(uint32_t n) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 11) % n;
}

static void mutate(unsigned char *blob, size_t n) {
    static const uint32_t values[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 32, 64, 255, 256, 512, 1000, 4096, 0x7fffffff, 0x80000000,
                                      0xffffffff, 0x7fc00000, 0x7f800000, 0xff800000};
    for (uint32_t count = 1 + random_below(3); count; count--) {
        size_t words = n / 4, place = random_below(4) ? random_below(64) : random_below((uint32_t)words + 1);
        uint32_t word;
        if (place >= words) continue;
        memcpy(&word, blob + 4 * place, 4);
        switch (random_below(4)) {
        case 0: word = values[random_below(sizeof values / sizeof *values)]; break;
        case 1: word ^= 1u << random_below(32); break;
        case 2: word += random_below(33) - 16; break;
        default: word = random_below(0x7fffffff); break;
        }
        memcpy(blob + 4 * place, &word, 4);
    }
}

/* Whether the reader accepts the blob; if so, feed it. */
static int try(const unsigned char *blob, size_t n) {
    size_t bytes = ws_size(blob, n);
    if (!bytes || bytes > 64u << 20) return 0;
    unsigned char *memory = malloc(bytes);
    if (!memory || ws_init(memory, bytes - 1, blob, n)) abort();
    ws_stream *stream = ws_init(memory, bytes, blob, n);
    if (stream) {
        ws_facts facts = ws_about(stream);
        int16_t *audio = malloc(3 * facts.hop_samples * sizeof *audio);
        float *scores = malloc(3 * facts.n_labels * sizeof *scores);
        for (uint32_t i = 0; i < 3 * facts.hop_samples; i++) audio[i] = (int16_t)random_below(65536);
        ws_detection found[6];
        ws_feed(stream, audio, 3, scores, found, 6);
        ws_feed(stream, audio, 2, NULL, NULL, 0);
        ws_label(stream, facts.n_labels - 1);
        uint32_t n_samples;
        memcpy(&n_samples, blob + 4 * 35, 4);
        if (!random_below(64) && n_samples / facts.hop_samples < 400) ws_self_test(stream, NULL);
        ws_flush(stream, found);
        free(audio), free(scores);
    }
    free(memory);
    return 1;
}

int main(int n_arguments, char **arguments) {
    if (n_arguments != 4) return 2;
    FILE *file = fopen(arguments[1], "rb");
    if (!file) return 2;
    fseek(file, 0, SEEK_END);
    size_t n = (size_t)ftell(file);
    rewind(file);
    unsigned char *original = malloc(n);
    if (fread(original, 1, n, file) != n) return 2;
    fclose(file);
    state = strtoull(arguments[3], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    long count = atol(arguments[2]), accepted = 0;
    for (long i = 0; i < count; i++) {
        size_t size = random_below(8) ? n : random_below((uint32_t)n + 1);
        unsigned char *blob = malloc(size ? size : 1); /* of this size exactly, so that reading beyond it is found */
        memcpy(blob, original, size);
        mutate(blob, size);
        accepted += try(blob, size);
        free(blob);
    }
    free(original);
    printf("%ld mutations, %ld accepted\n", count, accepted);
    return 0;
}
