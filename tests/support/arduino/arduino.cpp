/* The stand-ins of this folder, and the main function of a sketch. Standard input is what the microphone records; with its last sample
 * the program ends. A delay lets the interrupt of the PDM microphone run, and if LATE is set so often that
 * the sketch's ring overflows. */
#include <stdlib.h>
#include <string.h>

#include "ESP_I2S.h"
#include "PDM.h"

Serial_ Serial;
PDMClass PDM;

static void (*interrupt)();
static int16_t heard[256];
static size_t n_heard, n_read;
static bool is_running;

void delay(unsigned long ms) {
    (void)ms;
    if (!is_running) exit(3); /* the sketch stopped, and says why */
    for (int i = getenv("LATE") ? 12 : 1; i > 0; i--) {
        n_heard = fread(heard, sizeof *heard, 256, stdin), n_read = 0;
        if (!n_heard) exit(0);
        interrupt();
    }
}

void I2SClass::setPins(int8_t bclk, int8_t ws, int8_t dout, int8_t din, int8_t mclk) {
    has_pins = bclk >= 0 && ws >= 0 && din >= 0 && dout < 0 && mclk < 0;
}

bool I2SClass::begin(i2s_mode_t mode, uint32_t rate, i2s_data_bit_width_t bits, i2s_slot_mode_t slots, int8_t mask) {
    is_open = has_pins && mode == I2S_MODE_STD && rate == 16000 && bits == I2S_DATA_BIT_WIDTH_32BIT &&
              slots == I2S_SLOT_MODE_MONO && mask == I2S_STD_SLOT_LEFT && !getenv("NO_MICROPHONE");
    return is_open;
}

size_t I2SClass::readBytes(char *buffer, size_t size) {
    if (!is_open) return 0;
    for (size_t i = 0; i < size; i += 4) {
        int16_t sample;
        if (fread(&sample, sizeof sample, 1, stdin) != 1) exit(0);
        const int32_t wide = sample * (1 << 14);
        memcpy(buffer + i, &wide, 4);
    }
    return size;
}

int PDMClass::begin(int channels, int sample_rate) {
    is_running = channels == 1 && sample_rate == 16000 && interrupt && !getenv("NO_MICROPHONE");
    return is_running;
}

int PDMClass::available() {
    return (int)((n_heard - n_read) * sizeof *heard);
}

int PDMClass::read(void *buffer, size_t size) {
    const size_t n = size / sizeof *heard < n_heard - n_read ? size / sizeof *heard : n_heard - n_read;
    memcpy(buffer, heard + n_read, n * sizeof *heard);
    n_read += n;
    return (int)(n * sizeof *heard);
}

void PDMClass::onReceive(void (*function)()) {
    interrupt = function;
}

void setup();
void loop();

int main() {
    setup();
    for (;;) loop();
}
