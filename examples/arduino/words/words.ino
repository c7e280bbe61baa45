// Detects words with a microphone, and prints each one when it is detected.
//
// Arduino Nano 33 BLE Sense (its own microphone), or an ESP32-S3 or ESP32 with an I2S microphone; see microphone.h and README.md.
#include "microphone.h"
#include "src/words-c/wordspot.h"
#include "src/words-c/wordspot_model.h"

static unsigned char memory[WORDSPOT_STATE_BYTES];
static ws_stream *stream;

// Called for each detection: the place to switch a pin.
static void onWord(const char *label, const ws_detection &found) {
  Serial.print(found.time_ms / 1000, 2);
  Serial.print(" s: ");
  Serial.print(label);
  Serial.print(" (score = ");
  Serial.print(found.score, 2);
  Serial.println(")");
}

static void stop(const char *why) {
  for (;;) {
    Serial.println(why);
    delay(5000);
  }
}

void setup() {
  Serial.begin(115200);
  stream = ws_init(memory, sizeof memory, wordspot_model, WORDSPOT_MODEL_BYTES);
  if (!stream) stop("The model cannot be run; export it again.");
  if (!openMicrophone(WORDSPOT_SAMPLE_RATE)) stop("The microphone cannot be opened; check the board and the pins in microphone.h.");
}

void loop() {
  static int16_t samples[WORDSPOT_HOP_SAMPLES];
  if (!readMicrophone(samples, WORDSPOT_HOP_SAMPLES)) Serial.println("Sound was lost; this board is too slow for the model.");
  ws_detection found[2];
  const size_t n = ws_feed(stream, samples, 1, NULL, found, 2);
  for (size_t i = 0; i < n; i++) onWord(ws_label(stream, found[i].label), found[i]);
}
