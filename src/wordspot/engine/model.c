/* The blob of a model: a header of 64 words, then arrays in a fixed order, each padded to 64 bytes.
 *
 * Nothing in it is trusted. Every number of the header is checked against a limit, the arrays follow from these numbers alone, and
 * they must fill the blob exactly; the two arrays of indices and the text are checked as well. Floats may have any value: none
 * becomes an index. src/wordspot/runtime/modelfile/engine/blob.py writes it. */
#include "internal.h"

enum { HEADER_WORDS = 64, ALIGNMENT = 64 };

typedef struct {
    const unsigned char *at;
    size_t left;
    int failed;
} reader;

/* The next array of the blob: `count` elements of `size` bytes, and the padding. */
static const void *take(reader *from, uint64_t count, uint64_t size) {
    uint64_t bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const void *here = from->at;
    if (from->failed || count > UINT32_MAX || bytes > from->left) {
        from->failed = 1;
        return NULL;
    }
    from->at += bytes;
    from->left -= bytes;
    return here;
}

static ws_matrix take_matrix(reader *from, uint32_t in_bits_8, uint32_t n_in, uint32_t n_out) {
    ws_matrix matrix = {0};
    matrix.n_in = n_in;
    matrix.n_out = n_out;
    if (in_bits_8) {
        matrix.integers = take(from, (uint64_t)n_in * n_out, 1);
        matrix.factors = take(from, n_out, 4);
    } else {
        matrix.weights = take(from, (uint64_t)n_in * n_out, 4);
    }
    matrix.bias = take(from, n_out, 4);
    return matrix;
}

/* The local patterns: two convolutions over coefficients and a product. Returns 0 if their sizes are out of range. */
static int size_local(ws_model *model, uint32_t n_first, uint32_t n_second) {
    ws_local *local = &model->local;
    model->has_local = n_first || n_second;
    if (!model->has_local) return 1;
    local->heights[0] = (model->n_mels + 1) / 2;
    local->heights[1] = (local->heights[0] + 1) / 2;
    local->first.n_out = n_first, local->second.n_out = n_second;
    return n_first && n_second && n_first % WS_WIDTH == 0 && n_second % WS_WIDTH == 0 &&
           n_first <= WS_MOST_INPUTS / WS_LOCAL_HEIGHT && n_second <= WS_MOST_INPUTS / local->heights[1];
}

static void take_block(reader *from, ws_model *model, ws_block *block) {
    const uint32_t n_channels = model->n_channels, in_bits_8 = model->in_bits_8;
    if (in_bits_8) {
        block->tap_integers = take(from, (uint64_t)model->kernel * n_channels, 1);
        block->tap_factors = take(from, n_channels, 4);
    } else {
        block->taps = take(from, (uint64_t)model->kernel * n_channels, 4);
    }
    block->wider = take_matrix(from, in_bits_8, n_channels, model->n_inside);
    block->narrower = take_matrix(from, in_bits_8, model->n_inside, n_channels);
}

static void take_local(reader *from, ws_model *model) {
    ws_local *local = &model->local;
    const uint32_t n_first = local->first.n_out, n_second = local->second.n_out;
    local->first = take_matrix(from, 0, WS_LOCAL_HEIGHT * model->stem_kernel, n_first);
    local->second = take_matrix(from, model->in_bits_8, WS_LOCAL_HEIGHT * n_first, n_second);
    local->join = take_matrix(from, model->in_bits_8, local->heights[1] * n_second, model->n_channels);
}

static int within(uint32_t value, uint32_t low, uint32_t high) {
    return low <= value && value <= high;
}

static int is_in(double value, double low, double high) {
    return low <= value && value <= high; /* not for NaN */
}

/* The settings of a decoder are in range. */
static int good_decoder(const ws_decoder_settings *settings) {
    const double most = 1e6;
    return settings->kind <= WS_MICRO && within(settings->minimum_count, 1, 1000000) &&
           is_in(settings->average_ms, 0, most) && is_in(settings->suppression_ms, 0, most) &&
           is_in(settings->refractory_ms, 0, most) && is_in(settings->confirm_ms, 0, most) &&
           is_in(settings->stride_ms, 0, most);
}

/* The header: sizes and settings. Returns 0 if one is out of range. */
static int read_header(ws_model *model, const uint32_t *words) {
    ws_model *m = model;
    m->sample_rate = words[4], m->hop = words[5], m->window = words[6], m->n_fft = words[7];
    m->n_mels = words[8], m->stem_kernel = words[10], m->n_channels = words[11], m->n_inside = words[12];
    m->n_blocks = words[13], m->kernel = words[14], m->pool = words[15], m->n_labels = words[16];
    m->early_frames = words[17], m->clip_rows = words[18];
    memcpy(&m->log_floor, words + 32, 12);
    m->test_samples = words[35], m->test_seed = words[36], m->n_test_ends = words[41];
    memcpy(m->test_tones, words + 37, 16);
    memcpy(&m->test_tolerance, words + 42, 4);
    m->decoder.kind = words[20], m->decoder.minimum_count = words[21];
    memcpy(&m->decoder.average_ms, words + 22, 5 * 8);
    if (!(within(m->sample_rate, 1000, 192000) && within(m->hop, 1, 1 << 16) && within(m->n_fft, 128, 1 << 14) &&
          (m->n_fft & (m->n_fft - 1)) == 0 && within(m->window, m->hop + 1, m->n_fft) && within(m->n_mels, 1, 512) &&
          within(m->stem_kernel, 2, 16) && within(m->n_channels, 16, 512) && m->n_channels % WS_WIDTH == 0 &&
          within(m->n_inside, 16, 512) && m->n_inside % WS_WIDTH == 0 && within(m->n_blocks, 1, WS_MOST_BLOCKS) &&
          within(m->kernel, 2, WS_MOST_KERNEL) && within(m->pool, 1, 4096) && within(m->n_labels, 1, 1000) &&
          m->early_frames <= 1000 && within(m->clip_rows, 1, 1 << 21) && good_decoder(&m->decoder)))
        return 0;
    if (!size_local(m, words[43], words[44])) return 0;
    for (uint32_t i = 0; i < m->n_blocks; i++) {
        m->blocks[i].dilation = words[48 + i];
        if (!within(m->blocks[i].dilation, 1, 256)) return 0;
        m->blocks[i].ring = (m->kernel - 1) * m->blocks[i].dilation + 1;
    }
    m->kept = (m->window - 1) / m->hop * m->hop;
    m->n_scores = ws_padded(m->n_labels);
    m->in_bits_8 = words[3];
    m->frame = m->in_bits_8 ? 1 + m->n_channels / 2 : m->n_channels;
    m->rows = 8;
    while (m->rows * m->rows < m->n_fft / 2) m->rows *= 2;
    m->columns = m->n_fft / 2 / m->rows;
    return within(m->test_samples, 1, 1 << 22) && within(m->test_seed, 1, 2147483646) && within(m->n_test_ends, 1, 64) &&
           m->test_tones[0] <= 1 << 24 && m->test_tones[1] <= 1 << 14 && m->test_tones[2] <= 1 << 24 &&
           m->test_tones[3] <= 1 << 14;
}

/* Each channel's bins are within the spectrum, and all weights are used. */
static int good_mel(const ws_model *model, uint32_t n_quads) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < model->n_mels; i++) {
        const uint32_t n_bins = model->n_fft / 2 + 1, quads = model->mel_quads[i];
        if (quads > n_bins || model->mel_starts[i] + 4 * (uint64_t)quads > n_bins + 3) return 0;
        used += model->mel_quads[i];
    }
    return used == n_quads;
}

/* As many texts, each ending with a zero, as there are labels; finds the two that are no words. */
static int read_labels(ws_model *model, const char *text, uint32_t n_bytes) {
    uint32_t number = 0, start = 0;
    model->silence = model->unknown = model->n_labels;
    for (uint32_t i = 0; i < n_bytes; i++) {
        if (text[i]) continue;
        static const char silence[] = "_silence_", unknown[] = "_unknown_";
        if (i - start == sizeof silence - 1) {
            uint32_t is_silence = 1, is_unknown = 1;
            for (uint32_t j = start; j < i; j++) {
                is_silence &= text[j] == silence[j - start];
                is_unknown &= text[j] == unknown[j - start];
            }
            if (is_silence) model->silence = number;
            if (is_unknown) model->unknown = number;
        }
        number++, start = i + 1;
    }
    model->labels = text;
    return number == model->n_labels && start == n_bytes;
}

/* Rows that the decoder's mean is of, at most; 0 if they are too many. */
static uint32_t rows_averaged(const ws_model *model) {
    double rows = model->decoder.average_ms * model->sample_rate / 1000 / model->hop;
    return rows < 1 << 16 ? (uint32_t)rows + 2 : 0;
}

static int good_ends(const ws_model *model) {
    for (uint32_t i = 0; i < model->n_test_ends; i++) {
        uint32_t end = model->test_ends[i];
        if (end < model->hop || end % model->hop || end > model->test_samples) return 0;
        if (i && end <= model->test_ends[i - 1]) return 0;
    }
    return 1;
}

/* Set pointers into the blob. Returns 0 if it cannot be run. */
int ws_read_model(ws_model *model, const void *blob, size_t blob_bytes) {
    static const unsigned char magic[8] = {'w', 'o', 'r', 'd', 's', 'p', 'o', 't'};
    uint32_t words[HEADER_WORDS];
    memset(model, 0, sizeof *model);
    if (!blob || blob_bytes < sizeof words || (uintptr_t)blob % 8) return 0;
    memcpy(words, blob, sizeof words);
    for (int i = 0; i < 8; i++)
        if (((const unsigned char *)blob)[i] != magic[i]) return 0;
    if (words[2] != 2 || words[3] > 1 || words[9] > 1 << 20 || words[19] > 1 << 20 || !read_header(model, words)) return 0;
    reader from = {(const unsigned char *)blob + sizeof words, blob_bytes - sizeof words, 0};
    ws_model *m = model;
    uint32_t n = m->n_fft / 2, n_quads = words[9], n_label_bytes = words[19];
    m->window_values = take(&from, (m->window + 1) / 2 * 2, 4);
    m->row_turns = take(&from, 2 * m->rows, 4);
    m->column_turns = take(&from, 2 * m->columns, 4);
    m->turns = take(&from, 2 * n, 4);
    m->half_turns = take(&from, n + 2, 4);
    m->mel_starts = take(&from, m->n_mels, 4);
    m->mel_quads = take(&from, m->n_mels, 4);
    m->mel_weights = take(&from, 4 * (uint64_t)n_quads, 4);
    m->stem = take_matrix(&from, m->in_bits_8, (m->stem_kernel * m->n_mels + 3) / 4 * 4, m->n_channels);
    if (m->has_local) take_local(&from, m);
    for (uint32_t i = 0; i < m->n_blocks; i++) take_block(&from, m, &m->blocks[i]);
    m->output = take_matrix(&from, m->in_bits_8, m->n_channels, m->n_scores);
    m->thresholds = take(&from, m->n_labels, 8);
    const char *labels = take(&from, n_label_bytes, 1);
    m->test_ends = take(&from, m->n_test_ends, 4);
    m->test_logs = take(&from, (uint64_t)m->n_test_ends * m->n_labels, 4);
    m->most_rows = rows_averaged(m);
    return !from.failed && from.left == 0 && m->most_rows && m->stem.n_in <= WS_MOST_INPUTS && good_mel(m, n_quads) &&
           read_labels(m, labels, n_label_bytes) && good_ends(m);
}
