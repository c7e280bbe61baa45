/* Runs a model on a Cortex-M in qemu: prints the result of its self-test, and the instructions of a hop.
 *
 *     qemu-system-arm -M mps2-an386 -nographic -semihosting -icount shift=0 -kernel program.elf
 *
 * With -icount shift=0 an instruction takes a nanosecond, and SysTick at 25 MHz counts one tick for 40 of them.
 */
#include "wordspot.h"
#include "wordspot_model.h"

extern uint32_t stack_top, data_start, data_end, data_from, bss_start, bss_end;
static unsigned char memory[WORDSPOT_STATE_BYTES];
static volatile uint32_t *const SYSTICK = (uint32_t *)0xe000e010; /* control, reload, value */

static int call(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void print(const char *what, uint32_t number) {
    char text[12], *at = text + 11;
    *at = 0;
    do *--at = (char)('0' + number % 10);
    while (number /= 10);
    call(4, what), call(4, " "), call(4, at), call(4, "\n");
}

static void leave(uint32_t status) {
    const uint32_t block[2] = {0x20026, status};
    call(0x20, block);
    for (;;) {}
}

static uint32_t instructions_of_hops(ws_stream *stream, uint32_t n_hops) {
    static int16_t hop[WORDSPOT_HOP_SAMPLES];
    uint32_t ticks = 0, random = 1;
    for (uint32_t t = 0; t < n_hops; t++) {
        for (uint32_t i = 0; i < WORDSPOT_HOP_SAMPLES; i++) {
            random = random * 1664525 + 1013904223;
            hop[i] = (int16_t)((int32_t)random >> 18);
        }
        ws_detection found[2];
        const uint32_t before = SYSTICK[2];
        ws_feed(stream, hop, 1, 0, found, 2);
        ticks += (before - SYSTICK[2]) & 0xffffff;
    }
    return ticks * 40 / n_hops;
}

static void fill_stack(void) {
    volatile uint32_t *at = &bss_end;
    const uint32_t *here = __builtin_frame_address(0);
    while (at < here - 64) *at++ = 0x5a5a5a5a;
}

static uint32_t stack_used(void) {
    const uint32_t *at = &bss_end;
    while (*at == 0x5a5a5a5a) at++;
    return (uint32_t)((const char *)&stack_top - (const char *)at);
}

void start(void) {
    *(volatile uint32_t *)0xe000ed88 |= 0xf << 20; /* the floating-point unit */
    __asm__ volatile("dsb\nisb");
    for (uint32_t *to = &data_start, *from = &data_from; to < &data_end;) *to++ = *from++;
    for (uint32_t *to = &bss_start; to < &bss_end;) *to++ = 0;
    SYSTICK[1] = 0xffffff, SYSTICK[2] = 0, SYSTICK[0] = 5;
    fill_stack();
    ws_stream *stream = ws_init(memory, sizeof memory, wordspot_model, WORDSPOT_MODEL_BYTES);
    if (!stream) leave(2);
    print("state", sizeof memory);
    print("instructions", instructions_of_hops(stream, 300));
    float tolerance, difference = ws_self_test(stream, &tolerance);
    print("difference", (uint32_t)(difference * 1e9f));
    print("stack", stack_used());
    leave(difference <= tolerance ? 0 : 1);
}

__attribute__((section(".vectors"), used)) static void *const vectors[] = {&stack_top, (void *)start, (void *)leave,
                                                                           (void *)leave};
