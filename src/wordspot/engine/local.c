/* Local patterns: two convolutions over neighbouring coefficients, each 5 high and moving by 2, then a product that joins them.
 *
 * The inputs of a row are contiguous in memory, and those of the next row begin two rows later, so a convolution is a matrix
 * product whose inputs overlap. */
#include "internal.h"

/* Clear the border: two rows before the `height` rows of data, and the rows after them. */
static void clear_border(float *rows, uint32_t n_rows, uint32_t height, uint32_t size) {
    memset(rows, 0, 2 * size * sizeof *rows);
    memset(rows + (2 + height) * size, 0, (n_rows - 2 - height) * size * sizeof *rows);
}

/* From the stem's inputs [n_frames][stem n_in] to the join's, `local` [n_frames][rows][channels]. */
void ws_local_patterns(ws_stream *stream, uint32_t n_frames) {
    const ws_model *model = &stream->model;
    const ws_local *local = &model->local;
    const uint32_t n_mels = model->n_mels, kernel = model->stem_kernel, n_first = local->first.n_out;
    const uint32_t height = local->heights[0], half = local->heights[1];
    clear_border(stream->patch, WS_LOCAL_ROWS(height), n_mels, kernel);
    clear_border(stream->first, WS_LOCAL_ROWS(half), height, n_first);
    for (uint32_t t = 0; t < n_frames; t++) {
        const float *frames = stream->stem_in + (size_t)t * model->stem.n_in;
        float *patch = stream->patch + 2 * kernel, *first = stream->first + 2 * n_first;
        for (uint32_t k = 0; k < kernel; k++, frames += n_mels)
            for (uint32_t i = 0; i < n_mels; i++) patch[i * kernel + k] = frames[i];
        ws_slide(&local->first, stream->patch, 2 * kernel, first, height, 1, stream->small);
        ws_slide(&local->second, stream->first, 2 * n_first, stream->local + (size_t)t * local->join.n_in, half, 1, stream->small);
    }
}
