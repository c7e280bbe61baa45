/* Runs the self-test of the model, then, with the argument `-`, detects words in 16-bit mono samples from standard input:
 *
 *     ffmpeg -loglevel error -i evening.wav -f s16le -ac 1 -ar 16000 - | ./wordspot_test -
 */
#include <stdio.h>

#include "wordspot.h"
#include "wordspot_model.h"

static unsigned char memory[WORDSPOT_STATE_BYTES];

static void print(const ws_stream *stream, const ws_detection *found, size_t n) {
    for (size_t i = 0; i < n; i++)
        printf("%9.2f s  %s (score = %.2f)\n", found[i].time_ms / 1000, ws_label(stream, found[i].label), found[i].score);
}

static void detect(ws_stream *stream) {
    static int16_t hop[WORDSPOT_HOP_SAMPLES];
    ws_detection found[2];
    while (fread(hop, sizeof *hop, WORDSPOT_HOP_SAMPLES, stdin) == WORDSPOT_HOP_SAMPLES)
        print(stream, found, ws_feed(stream, hop, 1, NULL, found, 2));
    print(stream, found, ws_flush(stream, found));
}

int main(int n_arguments, char **arguments) {
    ws_stream *stream = ws_init(memory, sizeof memory, wordspot_model, WORDSPOT_MODEL_BYTES);
    if (!stream) {
        puts("the model cannot be run; export it again");
        return 1;
    }
    float tolerance, difference = ws_self_test(stream, &tolerance);
    int passed = difference <= tolerance;
    if (passed && n_arguments > 1 && arguments[1][0] == '-')
        detect(stream);
    else
        printf("self-test: difference %g, tolerance %g: %s\n", difference, tolerance, passed ? "passed" : "FAILED");
    return !passed;
}
