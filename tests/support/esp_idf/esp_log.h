/* A stand-in for ESP-IDF's header: logs go to standard output. */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#define ESP_LOGI(tag, format, ...) printf("%s: " format "\n", tag, __VA_ARGS__)
#define ESP_LOGE(tag, text) printf("%s: " text "\n", tag)
#define ESP_ERROR_CHECK(call) \
    do { \
        if ((call) != 0) abort(); \
    } while (0)
