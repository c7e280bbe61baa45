/* A stream: its memory, and the way from samples to detections. */
#include "internal.h"

_Static_assert(sizeof(ws_stream) <= WS_STREAM_BYTES, "WS_STREAM_BYTES in wordspot.h");

/* Deals out the caller's memory. With `base` 0 it only counts, and nobody reads what its pointers point to. */
typedef struct {
    uintptr_t base;
    uint64_t used;
} arena;

static void *give(arena *from, uint64_t count, uint64_t size) {
    uint64_t start = from->used;
    from->used += (count * size + WS_ALIGNMENT - 1) / WS_ALIGNMENT * WS_ALIGNMENT;
    return (void *)(from->base + (uintptr_t)start);
}

static void lay_out_network(ws_stream *stream, arena *from) {
    const ws_model *m = &stream->model;
    uint64_t n_small = (uint64_t)WS_BATCH * WS_MOST_INPUTS;
    if (m->has_local) {
        const uint64_t n_rows = WS_LOCAL_ROWS((uint64_t)m->local.heights[1]), n_first = m->local.first.n_out;
        stream->patch = give(from, WS_LOCAL_ROWS((uint64_t)m->local.heights[0]) * m->stem_kernel, sizeof(float));
        stream->first = give(from, n_rows * n_first, sizeof(float));
        stream->local = give(from, (uint64_t)WS_BATCH * m->local.join.n_in, sizeof(float));
        n_small = n_rows * n_first > n_small ? n_rows * n_first : n_small;
    }
    stream->x = give(from, (uint64_t)WS_BATCH * m->n_channels, sizeof(float));
    stream->y = give(from, (uint64_t)WS_BATCH * m->n_channels, sizeof(float));
    stream->inside = give(from, (uint64_t)WS_BATCH * m->n_inside, sizeof(float));
    stream->logits = give(from, (uint64_t)WS_BATCH * m->n_scores, sizeof(float));
    stream->small = give(from, n_small, sizeof(int16_t));
}

/* Set the arrays of a stream. The same for counting and for giving, so that they cannot differ. Returns the decoder's memory. */
static void *lay_out(ws_stream *stream, arena *from, size_t decoder_bytes) {
    const ws_model *m = &stream->model;
    stream->sound = give(from, m->kept + m->hop + m->window % 2, sizeof(ws_sample));
    stream->features = give(from, (uint64_t)(m->stem_kernel - 1) * m->n_mels, sizeof(float));
    for (uint32_t i = 0; i < m->n_blocks; i++)
        stream->rings[i] = give(from, (uint64_t)m->blocks[i].ring * m->frame, sizeof(float));
    stream->pool = give(from, (uint64_t)m->pool * m->frame, sizeof(float));
    stream->stem_in = give(from, (uint64_t)WS_BATCH * m->stem.n_in, sizeof(float));
    stream->row = give(from, m->n_labels, sizeof(double));
    void *decoder = give(from, decoder_bytes, 1);
    arena network = *from;
    stream->wave = give(from, m->n_fft, sizeof(float));
    stream->other = give(from, m->n_fft, sizeof(float));
    lay_out_network(stream, &network);
    from->used = network.used > from->used ? network.used : from->used;
    return decoder;
}

static size_t bytes_of_decoder(const ws_model *model) {
    return ws_decoder_size(&model->decoder, model->n_labels, model->most_rows);
}

/* Bytes for a stream whose model was read, the alignment of any memory included; 0 if they do not fit into memory. */
static size_t bytes_for(ws_stream *stream) {
    const size_t decoder_bytes = bytes_of_decoder(&stream->model);
    arena counter = {0, 0};
    give(&counter, 1, sizeof(ws_stream));
    lay_out(stream, &counter, decoder_bytes);
    const uint64_t bytes = counter.used + WS_ALIGNMENT - 1;
    return decoder_bytes && bytes <= SIZE_MAX / 2 ? (size_t)bytes : 0;
}

size_t ws_size(const void *blob, size_t blob_bytes) {
    ws_stream stream;
    return ws_read_model(&stream.model, blob, blob_bytes) ? bytes_for(&stream) : 0;
}

ws_stream *ws_init(void *memory, size_t memory_bytes, const void *blob, size_t blob_bytes) {
    arena from = {((uintptr_t)memory + WS_ALIGNMENT - 1) / WS_ALIGNMENT * WS_ALIGNMENT, 0};
    if (!memory || memory_bytes < sizeof(ws_stream) + WS_ALIGNMENT - 1) return NULL;
    ws_stream *stream = give(&from, 1, sizeof(ws_stream));
    memset(stream, 0, sizeof *stream);
    if (!ws_read_model(&stream->model, blob, blob_bytes)) return NULL;
    const size_t bytes = bytes_for(stream), decoder_bytes = bytes_of_decoder(&stream->model);
    if (!bytes || memory_bytes < bytes) return NULL;
    const ws_model *model = &stream->model;
    void *decoder = lay_out(stream, &from, decoder_bytes);
    stream->decoder = ws_decoder_init(decoder, decoder_bytes, &model->decoder, model->thresholds, model->n_labels, model->silence,
                                      model->unknown, model->most_rows);
    if (!stream->decoder) return NULL;
    memset(stream->stem_in, 0, (size_t)WS_BATCH * model->stem.n_in * sizeof(float));
    ws_reset(stream);
    return stream;
}

void ws_reset(ws_stream *stream) {
    const ws_model *model = &stream->model;
    const size_t frame = model->frame * sizeof(float);
    memset(stream->sound, 0, (model->kept + model->hop + model->window % 2) * sizeof(ws_sample));
    memset(stream->features, 0, (model->stem_kernel - 1) * model->n_mels * sizeof(float));
    for (uint32_t i = 0; i < model->n_blocks; i++) memset(stream->rings[i], 0, model->blocks[i].ring * frame);
    memset(stream->pool, 0, model->pool * frame);
    memset(stream->places, 0, sizeof stream->places);
    stream->pool_place = 0;
    stream->n_hops = 0;
    ws_decoder_reset(stream->decoder);
}

/* The features of up to WS_BATCH hops as inputs of the stem: each frame after those before it, [n_hops][stem_kernel * n_mels]. */
static void stem_inputs(ws_stream *stream, const ws_sample *audio, uint32_t n_hops) {
    const ws_model *model = &stream->model;
    const uint32_t n_mels = model->n_mels, n_before = (model->stem_kernel - 1) * n_mels, n_in = model->stem.n_in;
    for (uint32_t t = 0; t < n_hops; t++) {
        float *inputs = stream->stem_in + t * n_in;
        memcpy(inputs, stream->features, n_before * sizeof *inputs);
        ws_features(stream, audio + (size_t)t * model->hop, inputs + n_before);
        if (stream->n_hops + t < model->early_frames) memset(inputs + n_before, 0, n_mels * sizeof *inputs);
        memcpy(stream->features, inputs + n_mels, n_before * sizeof *inputs);
    }
}

/* Decode a row that was computed; returns the number of detections. */
static int decode_row(ws_stream *stream, const float *scores, ws_detection found[2]) {
    const ws_model *model = &stream->model;
    if (stream->n_hops < model->clip_rows) return 0;
    for (uint32_t i = 0; i < model->n_labels; i++) stream->row[i] = scores[i];
    double time_ms = (double)(stream->n_hops * model->hop * 1000) / model->sample_rate;
    int n = ws_decode(stream->decoder, stream->row, time_ms, found);
    return n > 0 ? n : 0; /* a model with damaged weights may give scores that are no numbers */
}

size_t ws_feed(ws_stream *stream, const ws_sample *audio, size_t n_hops, float *scores, ws_detection *found, size_t n_found) {
    const ws_model *model = &stream->model;
    size_t n_all = 0;
    while (n_hops) {
        uint32_t n = n_hops < WS_BATCH ? (uint32_t)n_hops : WS_BATCH;
        stem_inputs(stream, audio, n);
        ws_network(stream, n);
        for (uint32_t t = 0; t < n; t++) {
            const float *row = stream->logits + (size_t)t * model->n_scores;
            stream->n_hops++;
            if (scores) {
                memcpy(scores, row, model->n_labels * sizeof *scores);
                scores += model->n_labels;
            }
            ws_detection here[2];
            int n_here = decode_row(stream, row, here);
            for (int i = 0; i < n_here; i++, n_all++)
                if (found && n_all < n_found) found[n_all] = here[i];
        }
        audio += (size_t)n * model->hop;
        n_hops -= n;
    }
    return n_all;
}

size_t ws_flush(ws_stream *stream, ws_detection *found) {
    ws_detection last;
    int n = ws_decoder_flush(stream->decoder, &last);
    if (n && found) *found = last;
    ws_reset(stream);
    return (size_t)n;
}

ws_facts ws_about(const ws_stream *stream) {
    const ws_model *model = &stream->model;
    ws_facts facts = {model->sample_rate, model->hop, model->n_labels, model->clip_rows - 1};
    return facts;
}

const char *ws_label(const ws_stream *stream, uint32_t number) {
    const char *text = stream->model.labels;
    if (number >= stream->model.n_labels) return "";
    for (; number; number--) {
        while (*text) text++;
        text++;
    }
    return text;
}
