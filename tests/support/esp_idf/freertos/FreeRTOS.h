/* A stand-in for FreeRTOS's header. */
#pragma once
#include <stdint.h>

#define portMAX_DELAY UINT32_MAX
