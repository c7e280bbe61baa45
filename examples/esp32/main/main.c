/* Listens to an I2S microphone, such as an INMP441, and logs each word when it is detected. ESP-IDF 5, ESP32-S3 or ESP32. */
#include "driver/i2s_std.h"
#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "wordspot.h"
#include "wordspot_model.h"

/* Where the microphone is wired to; its L/R pin to ground, so that it is the left channel. */
static const gpio_num_t PIN_BCLK = GPIO_NUM_4, PIN_WS = GPIO_NUM_5, PIN_DATA = GPIO_NUM_6;

/* From samples of 32 bits to samples of 16: 16 would keep the scale, 14 makes it four times as loud, which suits an INMP441. */
enum { SHIFT = 14 };

enum { STACK_BYTES = 8192, PRIORITY = 5, CORE = 1 };

static const char TAG[] = "wordspot";
static unsigned char memory[WORDSPOT_STATE_BYTES];

/* Called for each detection: the place to switch a pin. */
static void on_word(const char *label, const ws_detection *found) {
    ESP_LOGI(TAG, "%.2f s: %s (score = %.2f)", found->time_ms / 1000, label, (double)found->score);
}

static i2s_chan_handle_t open_microphone(void) {
    i2s_chan_handle_t microphone;
    i2s_chan_config_t channel = I2S_CHANNEL_DEFAULT_CONFIG(I2S_NUM_0, I2S_ROLE_MASTER);
    i2s_std_config_t config = {
        .clk_cfg = I2S_STD_CLK_DEFAULT_CONFIG(WORDSPOT_SAMPLE_RATE),
        .slot_cfg = I2S_STD_PHILIPS_SLOT_DEFAULT_CONFIG(I2S_DATA_BIT_WIDTH_32BIT, I2S_SLOT_MODE_MONO),
        .gpio_cfg = {.mclk = I2S_GPIO_UNUSED, .bclk = PIN_BCLK, .ws = PIN_WS, .dout = I2S_GPIO_UNUSED, .din = PIN_DATA},
    };
    ESP_ERROR_CHECK(i2s_new_channel(&channel, NULL, &microphone));
    ESP_ERROR_CHECK(i2s_channel_init_std_mode(microphone, &config));
    ESP_ERROR_CHECK(i2s_channel_enable(microphone));
    return microphone;
}

static int16_t louder(int32_t sample) {
    sample >>= SHIFT;
    return (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
}

static void listen(void *argument) {
    (void)argument;
    static int32_t wide[WORDSPOT_HOP_SAMPLES];
    static int16_t samples[WORDSPOT_HOP_SAMPLES];
    ws_stream *stream = ws_init(memory, sizeof memory, wordspot_model, WORDSPOT_MODEL_BYTES);
    i2s_chan_handle_t microphone = open_microphone();
    if (!stream) ESP_LOGE(TAG, "the model cannot be run; export it again");
    while (stream) {
        size_t n_bytes;
        ESP_ERROR_CHECK(i2s_channel_read(microphone, wide, sizeof wide, &n_bytes, portMAX_DELAY));
        for (size_t i = 0; i < WORDSPOT_HOP_SAMPLES; i++) samples[i] = louder(wide[i]);
        ws_detection found[2];
        const size_t n = ws_feed(stream, samples, 1, NULL, found, 2);
        for (size_t i = 0; i < n; i++) on_word(ws_label(stream, found[i].label), &found[i]);
    }
    vTaskDelete(NULL);
}

void app_main(void) {
    xTaskCreatePinnedToCore(listen, "wordspot", STACK_BYTES, NULL, PRIORITY, NULL, CORE);
}
