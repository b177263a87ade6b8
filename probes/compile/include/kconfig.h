/* bcc includes this first of all. The types' file has an unusual name on purpose: bcc puts the
 * working directory first on the include path, where somebody's vmlinux.h might lie. */
#pragma once
#define CONFIG_BPF_SYSCALL 1
#define CONFIG_CGROUPS 1
#include <linux/types.h>
#include <ebpftop/kernel_types.h>
