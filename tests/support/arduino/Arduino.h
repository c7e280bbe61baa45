/* Arduino for the test of examples/arduino: what the sketch uses of its core. arduino.cpp has the rest. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define constrain(value, low, high) ((value) < (low) ? (low) : (value) > (high) ? (high) : (value))

void delay(unsigned long ms);

struct Serial_ {
    void begin(unsigned long baud) { (void)baud; }
    void print(const char *text) { fputs(text, stdout); }
    void print(double value, int digits) { printf("%.*f", digits, value); }
    void println(const char *text) { puts(text); }
};
extern Serial_ Serial;

#endif
