/* Runs a model on Linux: `feed_hops CALLS HOPS` runs its self-test, then feeds the same HOPS hops of noise in CALLS calls.
 *
 * Twice as many calls execute twice as many instructions, so the difference of two runs is the exact cost of a call.
 */
#include <stdio.h>
#include <stdlib.h>

#include "wordspot.h"
#include "wordspot_model.h"

static unsigned char memory[WORDSPOT_STATE_BYTES];

int main(int n_arguments, char **arguments) {
    const size_t n_calls = n_arguments > 1 ? strtoul(arguments[1], NULL, 10) : 0;
    const size_t n_hops = n_arguments > 2 ? strtoul(arguments[2], NULL, 10) : 1;
    ws_stream *stream = ws_init(memory, sizeof memory, wordspot_model, WORDSPOT_MODEL_BYTES);
    int16_t *hops = malloc(n_hops * WORDSPOT_HOP_SAMPLES * sizeof *hops);
    if (!stream || !hops) return 2;
    float tolerance, difference = ws_self_test(stream, &tolerance);
    printf("difference %g\n", difference);
    uint32_t random = 1;
    for (size_t i = 0; i < n_hops * WORDSPOT_HOP_SAMPLES; i++) {
        random = random * 1664525 + 1013904223;
        hops[i] = (int16_t)((int32_t)random >> 18);
    }
    for (size_t i = 0; i < n_calls; i++) {
        ws_detection found[2];
        ws_feed(stream, hops, n_hops, NULL, found, 2);
    }
    return difference > tolerance;
}
