/* A plugin for qemu's user mode: prints to standard error how many instructions a program executed.
 *
 *     gcc -shared -fPIC -DQEMU_API=1 -o count.so count_instructions.c
 *     qemu-aarch64 -plugin ./count.so program
 *
 * QEMU_API is 1 for qemu up to 8.2 and 2 for later ones. Debian has no package with qemu-plugin.h, so what is used is declared here.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

struct qemu_plugin_tb; /* instructions that are always executed together */

extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*translated)(uint64_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*executed)(unsigned, void *), int flags,
                                                 void *data);
extern void qemu_plugin_register_atexit_cb(uint64_t id, void (*ended)(uint64_t, void *), void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);

const int qemu_plugin_version = QEMU_API;
static uint64_t n_instructions;

static void executed(unsigned processor, void *n) {
    (void)processor;
    n_instructions += (uintptr_t)n;
}

static void translated(uint64_t id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void ended(uint64_t id, void *data) {
    (void)id, (void)data;
    fprintf(stderr, "instructions %" PRIu64 "\n", n_instructions);
}

int qemu_plugin_install(uint64_t id, const void *info, int n_arguments, char **arguments) {
    (void)info, (void)n_arguments, (void)arguments;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
