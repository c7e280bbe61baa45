/* Of the cores for boards with a PDM microphone, whose interrupt gives 256 samples at a time, here from standard input. */
#ifndef PDM_H
#define PDM_H

#include "Arduino.h"

class PDMClass {
  public:
    int begin(int channels, int sample_rate);
    int available();
    int read(void *buffer, size_t size);
    void onReceive(void (*function)());
};
extern PDMClass PDM;

#endif
