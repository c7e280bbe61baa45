/* Of the ESP32's core, version 3. The microphone plays 16-bit samples from standard input as 32-bit ones, as an INMP441 at a quarter of
 * full scale, and ends the program with them. */
#ifndef ESP_I2S_H
#define ESP_I2S_H

#include "Arduino.h"

enum i2s_mode_t { I2S_MODE_STD };
enum i2s_data_bit_width_t { I2S_DATA_BIT_WIDTH_16BIT = 16, I2S_DATA_BIT_WIDTH_32BIT = 32 };
enum i2s_slot_mode_t { I2S_SLOT_MODE_MONO = 1, I2S_SLOT_MODE_STEREO = 2 };
enum { I2S_STD_SLOT_LEFT = 1 };

class I2SClass {
  public:
    void setPins(int8_t bclk, int8_t ws, int8_t dout, int8_t din = -1, int8_t mclk = -1);
    bool begin(i2s_mode_t mode, uint32_t rate, i2s_data_bit_width_t bits, i2s_slot_mode_t slots, int8_t mask = -1);
    size_t readBytes(char *buffer, size_t size);

  private:
    bool has_pins = false, is_open = false;
};

#endif
