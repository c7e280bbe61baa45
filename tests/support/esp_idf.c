/* ESP-IDF for the test of examples/esp32: the microphone plays 16-bit samples from standard input, in the upper bits of 32-bit slots
 * as an INMP441 at a quarter of full scale, and ends the program with them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/i2s_std.h"
#include "freertos/task.h"

extern void app_main(void);
struct i2s_channel_obj_t {
    int ready, on;
};
static struct i2s_channel_obj_t channel;

esp_err_t i2s_new_channel(const i2s_chan_config_t *config, i2s_chan_handle_t *transmit, i2s_chan_handle_t *receive) {
    if (config->role != I2S_ROLE_MASTER || transmit) return -1;
    *receive = &channel;
    return 0;
}

esp_err_t i2s_channel_init_std_mode(i2s_chan_handle_t handle, const i2s_std_config_t *config) {
    handle->ready = config->clk_cfg.sample_rate_hz == 16000 && config->slot_cfg.data_bit_width == 32;
    return handle->ready ? 0 : -1;
}

esp_err_t i2s_channel_enable(i2s_chan_handle_t handle) {
    handle->on = handle->ready;
    return handle->on ? 0 : -1;
}

esp_err_t i2s_channel_read(i2s_chan_handle_t handle, void *to, size_t size, size_t *bytes_read, uint32_t timeout_ms) {
    static int16_t samples[4096];
    const size_t n = size / sizeof(int32_t);
    if (!handle->on || timeout_ms != UINT32_MAX || n > 4096) return -1;
    if (fread(samples, sizeof *samples, n, stdin) != n) exit(0);
    for (size_t i = 0; i < n; i++) ((int32_t *)to)[i] = (int32_t)((uint32_t)samples[i] << 14);
    *bytes_read = size;
    return 0;
}

int xTaskCreatePinnedToCore(void (*task)(void *), const char *name, uint32_t stack, void *argument, unsigned priority,
                            TaskHandle_t *handle, int core) {
    (void)name, (void)stack, (void)priority, (void)handle, (void)core;
    task(argument);
    return 1;
}

void vTaskDelete(TaskHandle_t task) {
    (void)task;
}

int main(void) {
    app_main();
    return 1;
}
