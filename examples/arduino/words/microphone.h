// The microphone of the board: openMicrophone(), then readMicrophone() for each hop.
#pragma once
#include <Arduino.h>

#if defined(ARDUINO_ARCH_ESP32)
// An I2S microphone such as an INMP441, its L/R pin to ground, so that it is the left channel. Needs version 3 of the ESP32 core.
#include <ESP_I2S.h>

const int8_t PIN_BCLK = 4, PIN_WS = 5, PIN_DATA = 6;
const int SHIFT = 14;  // from 32 bits to 16: 16 would keep the scale, 14 makes it four times as loud, which suits an INMP441
const size_t AT_ONCE = 160;

static I2SClass microphone;

static bool openMicrophone(uint32_t sampleRate) {
  microphone.setPins(PIN_BCLK, PIN_WS, -1, PIN_DATA);
  return microphone.begin(I2S_MODE_STD, sampleRate, I2S_DATA_BIT_WIDTH_32BIT, I2S_SLOT_MODE_MONO, I2S_STD_SLOT_LEFT);
}

// Wait for the next samples. Returns false if the microphone gave none.
static bool readMicrophone(int16_t *samples, size_t n) {
  static int32_t wide[AT_ONCE];
  for (size_t done = 0; done < n;) {
    const size_t count = n - done < AT_ONCE ? n - done : AT_ONCE;
    if (microphone.readBytes((char *)wide, count * sizeof *wide) != count * sizeof *wide) return false;
    for (size_t i = 0; i < count; i++) samples[done++] = (int16_t)constrain(wide[i] >> SHIFT, -32768, 32767);
  }
  return true;
}

#else
// The PDM microphone of an Arduino Nano 33 BLE Sense. An interrupt puts its samples into a ring, and readMicrophone() takes them out.
#include <PDM.h>

const uint32_t RING = 2048;  // samples, a power of two: 128 ms at 16 kHz

static int16_t ring[RING];
static volatile uint32_t written, taken;
static volatile bool lost;

static void receive() {
  static int16_t samples[256];
  const int room = PDM.available() < (int)sizeof samples ? PDM.available() : (int)sizeof samples;
  const uint32_t n = PDM.read(samples, room) / sizeof *samples;
  if (written - taken + n > RING) {
    lost = true;
    return;
  }
  for (uint32_t i = 0; i < n; i++) ring[(written + i) % RING] = samples[i];
  written = written + n;
}

static bool openMicrophone(uint32_t sampleRate) {
  PDM.onReceive(receive);
  return PDM.begin(1, sampleRate);
}

// Wait for the next samples. Returns false if some before them were lost, because this was called too late.
static bool readMicrophone(int16_t *samples, size_t n) {
  while (written - taken < n) delay(1);
  for (size_t i = 0; i < n; i++) samples[i] = ring[(taken + i) % RING];
  taken = taken + n;
  const bool whole = !lost;
  lost = false;
  return whole;
}
#endif
