/* Listens to a microphone with ALSA and prints each word when it is detected.
 *
 *     ./listen                  the default microphone
 *     ./listen plughw:1,0       another one; `arecord -l` lists card and device
 */
#include <alsa/asoundlib.h>
#include <stdio.h>

#include "wordspot.h"
#include "wordspot_model.h"

enum { N_HOPS = 4, LATENCY_US = 200000 }; /* hops of a call: the weights are read from memory once for all of them */

static unsigned char memory[WORDSPOT_STATE_BYTES];

/* Called for each detection: the place to switch a lamp. */
static void on_word(const char *label, const ws_detection *found) {
    printf("%9.2f s  %s (score = %.2f)\n", found->time_ms / 1000, label, found->score);
    fflush(stdout);
}

/* Open a microphone: 16-bit mono samples at the rate of the model, which ALSA converts to if the microphone has another. */
static snd_pcm_t *open_microphone(const char *name) {
    snd_pcm_t *microphone;
    int error = snd_pcm_open(&microphone, name, SND_PCM_STREAM_CAPTURE, 0);
    if (error < 0) {
        fprintf(stderr, "the microphone %s cannot be opened: %s; `arecord -L` lists the names\n", name, snd_strerror(error));
        return NULL;
    }
    error = snd_pcm_set_params(microphone, SND_PCM_FORMAT_S16_LE, SND_PCM_ACCESS_RW_INTERLEAVED, 1, WORDSPOT_SAMPLE_RATE, 1,
                               LATENCY_US);
    if (error < 0) {
        fprintf(stderr, "the microphone %s does not record 16-bit mono at %d Hz: %s; try plug%s\n", name, WORDSPOT_SAMPLE_RATE,
                snd_strerror(error), name);
        snd_pcm_close(microphone);
        return NULL;
    }
    return microphone;
}

/* Read `n` samples. Returns 1, or 0 after a gap in the sound, or a negative error that ALSA cannot recover from. */
static int read_samples(snd_pcm_t *microphone, int16_t *samples, snd_pcm_uframes_t n) {
    while (n) {
        const snd_pcm_sframes_t got = snd_pcm_readi(microphone, samples, n);
        if (got < 0) {
            const int error = snd_pcm_recover(microphone, (int)got, 1);
            return error < 0 ? error : 0;
        }
        samples += got, n -= (snd_pcm_uframes_t)got;
    }
    return 1;
}

/* Detect words until the microphone fails. Returns the error. */
static int listen(snd_pcm_t *microphone, ws_stream *stream) {
    static int16_t samples[N_HOPS * WORDSPOT_HOP_SAMPLES];
    ws_detection found[2 * N_HOPS];
    for (;;) {
        const int got = read_samples(microphone, samples, N_HOPS * WORDSPOT_HOP_SAMPLES);
        if (got < 0) return got;
        if (!got) {
            fprintf(stderr, "sound was lost: the processor was too busy; starting anew\n");
            ws_reset(stream);
            continue;
        }
        const size_t n = ws_feed(stream, samples, N_HOPS, NULL, found, 2 * N_HOPS);
        for (size_t i = 0; i < n; i++) on_word(ws_label(stream, found[i].label), &found[i]);
    }
}

int main(int n_arguments, char **arguments) {
    ws_stream *stream = ws_init(memory, sizeof memory, wordspot_model, WORDSPOT_MODEL_BYTES);
    if (!stream) {
        fprintf(stderr, "the model cannot be run; export it again\n");
        return 1;
    }
    snd_pcm_t *microphone = open_microphone(n_arguments > 1 ? arguments[1] : "default");
    if (!microphone) return 1;
    fprintf(stderr, "listening; Ctrl-C ends it\n");
    const int error = listen(microphone, stream);
    fprintf(stderr, "the microphone failed: %s\n", snd_strerror(error));
    snd_pcm_close(microphone);
    return 1;
}
