/* What the files of the engine share: vectors, the model as pointers into its blob, the state of a stream. */
#ifndef WORDSPOT_INTERNAL_H
#define WORDSPOT_INTERNAL_H

#include <string.h>

#include "wordspot.h"

#if WS_LANES == 1
typedef float ws_vector;
#else
typedef float ws_vector __attribute__((vector_size(4 * WS_LANES), aligned(4), may_alias));
typedef int32_t ws_bits __attribute__((vector_size(4 * WS_LANES), aligned(4), may_alias));
typedef int16_t ws_shorts __attribute__((vector_size(2 * WS_LANES), aligned(2), may_alias));

/* Four floats, whatever the width of vectors, and a choice of as many elements of two vectors as one has. */
typedef float ws_quad __attribute__((vector_size(16), aligned(4), may_alias));
#define WS_QUAD(pointer) (*(ws_quad *)(pointer))
#if defined(__clang__) || (__GNUC__ >= 12 && !defined(WS_OLD_GCC)) /* tests define it */
#define WS_SHUFFLED(left, right, ...) __builtin_shufflevector(left, right, __VA_ARGS__)
#else
#define WS_SHUFFLED(left, right, ...) \
    __builtin_shuffle(left, right, (int32_t __attribute__((vector_size(sizeof(left))))){__VA_ARGS__})
#endif
#endif

#define WS_INLINE static inline __attribute__((always_inline, unused))

/* A loop whose number of rounds the compiler knows, unrolled so that arrays become registers. */
#if defined(__clang__)
#define WS_UNROLLED _Pragma("clang loop unroll(full)")
#else
#define WS_UNROLLED _Pragma("GCC unroll 16")
#endif

WS_INLINE ws_vector ws_load(const float *from) {
    return *(const ws_vector *)from;
}

WS_INLINE void ws_store(float *to, ws_vector value) {
    *(ws_vector *)to = value;
}

WS_INLINE ws_vector ws_splat(float value) {
    return value - (ws_vector){0};
}

WS_INLINE ws_vector ws_relu(ws_vector value) {
#if WS_LANES == 1
    return value > 0 ? value : 0;
#else
    return (ws_vector)((ws_bits)value & (ws_bits)(value > (ws_vector){0}));
#endif
}

enum {
    WS_WIDTH = 16, /* channels are padded with zeros to a multiple of this, so that every vector width divides them */
    WS_MOST_BLOCKS = 16,
    WS_MOST_KERNEL = 32,
    WS_MOST_INPUTS = 512, /* of a product: a sum of 512 * 127 * 32767 is below 2^31 */
    WS_LOCAL_HEIGHT = 5,  /* coefficients that a local pattern sees; it moves by 2 */
};

/* Rows around `height` results of a local pattern: two of zeros before them, and what the last one sees. */
#define WS_LOCAL_ROWS(height) (2 * (height) + WS_LOCAL_HEIGHT - 2)

/* A matrix product: [n_in] inputs → [n_out] outputs, plus bias. */
typedef struct {
    const float *weights;    /* [n_in][n_out], or NULL */
    const int8_t *integers;  /* weights in 8 bits [n_in / 4][n_out][4], or NULL; see products.c */
    const float *factors;    /* of the integers, [n_out] */
    const float *bias;       /* [n_out] */
    uint32_t n_in, n_out;
} ws_matrix;

typedef struct {
    uint32_t dilation, ring;     /* frames between two taps; frames that are kept */
    const float *taps;           /* depthwise over time [kernel][n_channels], or NULL */
    const int8_t *tap_integers;  /* the same in 8 bits, or NULL */
    const float *tap_factors;    /* of the integers, [n_channels] */
    ws_matrix wider, narrower;   /* n_channels → n_inside → n_channels */
} ws_block;

/* Convolutions over neighbouring coefficients, beside the stem; see local.c. */
typedef struct {
    uint32_t heights[2];           /* rows after the first and the second */
    ws_matrix first, second, join; /* join: all rows → n_channels */
} ws_local;

typedef struct {
    uint32_t sample_rate, hop, window, kept; /* samples; kept: of the hops before the newest */
    uint32_t n_fft, rows, columns;           /* n_fft / 2 = rows * columns, the complex transform */
    uint32_t n_mels, stem_kernel, n_channels, n_inside, n_blocks, kernel, pool, n_labels, n_scores;
    uint32_t early_frames, clip_rows;
    uint32_t in_bits_8, frame;               /* whether weights are; floats of a frame in a ring, see rings.c */
    float log_floor, log_mean, log_scale;
    const float *window_values; /* / 32768 */
    const float *row_turns, *column_turns, *turns, *half_turns; /* cosines, then sines */
    const uint32_t *mel_starts, *mel_quads;                     /* first bin, and how many times four bins */
    const float *mel_weights;
    ws_matrix stem, output;
    int has_local;
    ws_local local;
    ws_block blocks[WS_MOST_BLOCKS];
    ws_decoder_settings decoder;
    const double *thresholds;
    const char *labels;
    uint32_t silence, unknown, most_rows;
    uint32_t test_samples, test_seed, test_tones[4], n_test_ends;
    float test_tolerance;
    const uint32_t *test_ends;
    const float *test_logs; /* [n_test_ends][n_labels] */
} ws_model;

struct ws_stream {
    ws_model model;
    uint64_t n_hops; /* that were fed */
    ws_decoder *decoder;
    ws_sample *sound;     /* [kept + hop] */
    float *features;      /* ring [stem_kernel - 1][n_mels] */
    float *rings[WS_MOST_BLOCKS]; /* [ring][frame] each */
    float *pool;                  /* ring [pool][frame] */
    uint32_t places[WS_MOST_BLOCKS], pool_place;
    float *stem_in;             /* [WS_BATCH][stem n_in] */
    /* Scratch of the front end, and scratch of the network in the same memory. */
    float *wave, *other;        /* complex [n_fft / 2] each: real, then imaginary parts */
    float *patch, *first;       /* of a hop: the inputs of the first local patterns, and of the second; see local.c */
    float *local;               /* [WS_BATCH][join n_in] */
    float *x, *y;               /* [WS_BATCH][n_channels] */
    float *inside;              /* [WS_BATCH][n_inside] */
    float *logits;              /* [WS_BATCH][n_scores] */
    int16_t *small;             /* [WS_BATCH][WS_MOST_INPUTS], or the inputs of the local patterns: activations in 16 bits */
    double *row;                /* [n_labels] */
};

int ws_read_model(ws_model *model, const void *blob, size_t blob_bytes);
void ws_features(ws_stream *stream, const ws_sample *hop, float *features);
void ws_network(ws_stream *stream, uint32_t n_frames);
void ws_local_patterns(ws_stream *stream, uint32_t n_frames);
void ws_over_time(ws_stream *stream, uint32_t number, const float *x, float *y);
void ws_mean_over_time(ws_stream *stream, const float *x, float *y);
float ws_to_16_bits(const float *restrict x, int16_t *restrict small, uint32_t n, int swapped);
void ws_multiply(const ws_matrix *matrix, const float *x, float *y, uint32_t n_frames, int relu, int16_t *small);
void ws_multiply_integers(const ws_matrix *matrix, const float *x, float *y, uint32_t n_rows, int relu, int16_t *small);
void ws_slide_integers(const ws_matrix *matrix, const float *x, uint32_t step, float *y, uint32_t n_rows, int relu, int16_t *small);
void ws_slide(const ws_matrix *matrix, const float *x, uint32_t step, float *y, uint32_t n_rows, int relu, int16_t *small);
float ws_log(float x);
float ws_exp(float x);

WS_INLINE uint32_t ws_padded(uint32_t n) {
    return (n + WS_WIDTH - 1) / WS_WIDTH * WS_WIDTH;
}

#endif
