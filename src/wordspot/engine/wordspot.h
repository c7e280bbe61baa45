/* wordspot's engine: an exported model without ONNX Runtime, from 16-bit samples to detections.
 *
 * C99 with GCC's vector types (gcc or clang). No malloc, no libm, and of libc only memcpy and memset. One model is one block of data, the
 * blob that `wordspot export --target c` writes; any number of streams can share it. Little-endian machines with IEEE floats.
 *
 *     static _Alignas(64) unsigned char memory[WORDSPOT_STATE_BYTES];
 *     ws_stream *stream = ws_init(memory, sizeof memory, wordspot_model, wordspot_model_bytes);
 *     for (;;) {
 *         read_microphone(samples);                       // ws_about(stream).hop_samples samples
 *         ws_detection found[2];
 *         size_t n = ws_feed(stream, samples, 1, NULL, found, 2);
 *         for (size_t i = 0; i < n; i++) puts(ws_label(stream, found[i].label));
 *     }
 */
#ifndef WORDSPOT_H
#define WORDSPOT_H

#include <stddef.h>
#include <stdint.h>

/* How the engine is compiled, the same for all files. Floats in a vector: 16 is best with AVX-512, 8 with AVX2, 4 with SSE, NEON and
 * WebAssembly; 1 means no vectors. For 32-bit ARM, GCC computes vectors of floats one by one, so there they pay only with clang. */
#ifndef WS_LANES
#if defined(__AVX512VNNI__)
#define WS_LANES 16
#elif defined(__AVX__)
#define WS_LANES 8
#elif defined(__SSE2__) || defined(__aarch64__) || (defined(__ARM_NEON) && defined(__clang__)) || defined(__wasm_simd128__)
#define WS_LANES 4
#else
#define WS_LANES 1
#endif
#endif

/* Hops that are computed together, so that weights are read once for all of them. Each costs memory. */
#ifndef WS_BATCH
#define WS_BATCH (WS_LANES > 1 ? 24 : 1)
#endif

/* Of a stream's memory: what is there whatever the model, and the multiple that every array begins at. */
#define WS_STREAM_BYTES (sizeof(void *) > 4 ? 2688 : 1664)
#define WS_ALIGNMENT (WS_LANES > 1 ? 64 : 8)

/* The type of samples: integers from -32768 to 32767, or float on the same scale, for audio that was resampled or amplified. */
#ifndef WS_SAMPLE
#define WS_SAMPLE int16_t
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef WS_SAMPLE ws_sample;

/* The state of one stream. It lives in memory of the caller and must not be copied or moved. */
typedef struct ws_stream ws_stream;

typedef struct {
    uint32_t label;     /* its number: a column of the scores */
    float score;        /* mean posterior of the last `average_ms`, 0 to 1 */
    double time_ms;     /* where the sound that supports it best ends, milliseconds from the start of the stream */
    double emitted_ms;  /* how much sound had been fed when the detection was made, milliseconds */
} ws_detection;

typedef struct {
    uint32_t sample_rate;  /* Hz */
    uint32_t hop_samples;  /* samples from one row of scores to the next */
    uint32_t n_labels;     /* columns of a row of scores */
    uint32_t early_rows;   /* rows at the start of a stream that see what was before it; never decoded */
} ws_facts;

/* Bytes of memory that a stream needs, or 0 if the blob is not one that this engine can run. */
size_t ws_size(const void *blob, size_t blob_bytes);

/* Make a stream in `memory`, of any alignment. Returns NULL if the blob cannot be run or the memory is too small. The blob is
 * read as long as the stream is used; align it to 64 bytes for speed, to 8 at least. */
ws_stream *ws_init(void *memory, size_t memory_bytes, const void *blob, size_t blob_bytes);

/* Feed the next `n_hops` hops of the stream.
 *
 * audio:  [n_hops * hop_samples] mono samples at `sample_rate`.
 * scores: receives [n_hops][n_labels] posteriors; may be NULL.
 * found:  receives the first `n_found` detections that these hops complete; 2 * n_hops is always enough; may be NULL.
 *
 * Returns how many detections there were. The results do not depend on how the sound is divided into calls, except for rounding. */
size_t ws_feed(ws_stream *stream, const ws_sample *audio, size_t n_hops, float *scores, ws_detection *found, size_t n_found);

/* End the stream: returns 1 if a detection was still pending, which `found` receives, else 0. The next `ws_feed` starts anew. */
size_t ws_flush(ws_stream *stream, ws_detection *found);

/* Forget the stream: the next `ws_feed` starts a new one at 0 ms. */
void ws_reset(ws_stream *stream);

ws_facts ws_about(const ws_stream *stream);

/* The name of a label, UTF-8; an empty text for a number that is too large. */
const char *ws_label(const ws_stream *stream, uint32_t number);

/* Run the model's self-test, 1 to 16 s of made sound, and reset the stream. Returns the largest difference between the
 * logarithms of scores and those at export; `*tolerance`, if not NULL, receives what is allowed. */
float ws_self_test(ws_stream *stream, float *tolerance);

/* The decoder alone, for scores from elsewhere. */
typedef struct ws_decoder ws_decoder;

enum { WS_PEAK = 0, WS_CLASSIC = 1, WS_MICRO = 2 };

typedef struct {
    uint32_t kind;           /* WS_PEAK, WS_CLASSIC or WS_MICRO */
    uint32_t minimum_count;  /* rows */
    double average_ms, suppression_ms, refractory_ms, confirm_ms, stride_ms;
} ws_decoder_settings;

/* Bytes that a decoder needs which averages over up to `most_rows` rows; 0 if the settings are out of range. */
size_t ws_decoder_size(const ws_decoder_settings *settings, uint32_t n_labels, uint32_t most_rows);

/* Make a decoder in `memory`. Returns NULL if the memory is too small, or a setting or a threshold out of range.
 *
 * thresholds: [n_labels] scores; must live as long as the decoder.
 * silence, unknown: the numbers of the labels `_silence_` and `_unknown_`; n_labels if there is none. */
ws_decoder *ws_decoder_init(void *memory, size_t memory_bytes, const ws_decoder_settings *settings, const double *thresholds,
                            uint32_t n_labels, uint32_t silence, uint32_t unknown, uint32_t most_rows);

/* Decode a row of scores [n_labels] of sound that ends at `time_ms`, never before the last row. Returns how many detections it
 * completes, 0 to 2, which `found` receives; or -1, and nothing changes, if the time or a score is out of range. */
int ws_decode(ws_decoder *decoder, const double *scores, double time_ms, ws_detection found[2]);

/* End the stream: 1 if a detection was still pending, else 0. */
int ws_decoder_flush(ws_decoder *decoder, ws_detection *found);

void ws_decoder_reset(ws_decoder *decoder);

#ifdef __cplusplus
}
#endif
#endif
