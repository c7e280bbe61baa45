/* A stand-in for FreeRTOS's header: a task runs at once. */
#pragma once
#include <stdint.h>

typedef void *TaskHandle_t;
int xTaskCreatePinnedToCore(void (*task)(void *), const char *name, uint32_t stack, void *argument, unsigned priority,
                            TaskHandle_t *handle, int core);
void vTaskDelete(TaskHandle_t task);
