/* What the BTF has no names for, and idioms for hooks. Included last, before a hook's C. */
#pragma once

/* A BTF-typed program (tp_btf, fentry, fexit) takes its arguments as an array of words and reads
 * through them directly; the verifier knows their types:
 *
 *     int on_free(u64 *ctx)
 *     {
 *         struct sk_buff *skb = ARG(ctx, 0, struct sk_buff *);
 *         struct net_device *dev = skb->dev;
 *         u32 ifindex = dev ? dev->ifindex : 0;
 *         ...
 *     }
 *
 * bcc rewrites a read to bpf_probe_read only where the pointer comes from a context it takes for
 * a tracing one (struct pt_regs *, struct bpf_raw_tracepoint_args *), from a further argument, or
 * from bpf_get_current_task(); never inside a macro. So: exactly one argument, and of this type.
 */
#define ARG(ctx, n, type) ((type)(ctx)[n])

/* Reads kernel memory where the verifier does not know the pointer (raw tracepoints, kprobes):
 * PROBE(sk->__sk_common.skc_family), PROBE(PT_REGS_PARM1(regs)). 0 where it cannot be read; one
 * step at a time, as only the last -> is read safely. Not allowed under lockdown=confidentiality.
 */
#define PROBE(field) ({ \
    typeof(field) _read; \
    bpf_probe_read_kernel(&_read, sizeof _read, (const void *)&(field)); \
    _read; \
})

/* For programs at sockets and cgroups. Where bcc may not read /proc/kallsyms, it puts
 * bpf_probe_read in the place of bpf_probe_read_kernel, and they have no such helper. */
#define PROBE_KERNEL(to, size, from) \
    ((long (*)(void *, u32, const void *))BPF_FUNC_probe_read_kernel)((to), (size), (from))

/* Reads once, as written: clang joins neighbouring 4-byte reads of a context into one of 8 bytes,
 * which the verifier refuses for sock_ops and cgroup address contexts. */
#undef READ  /* linux/kernel.h has one, for a direction */
#define READ(field) (*(volatile typeof(field) *)&(field))

/* Adds to a counter that other CPUs add to as well (not needed in per-CPU maps). */
#define ADD(pointer, n) ((void)__sync_fetch_and_add((pointer), (n)))

/* floor(log2(v)), 0 for 0: bucket b holds 2**b <= v < 2**(b + 1). Always below 64. (bcc's
 * bpf_log2l is one more than that.) */
static inline __attribute__((always_inline)) u64 log2_bucket(u64 v)
{
    u64 b = 0, rest;
    /* Compared with zero, behind a barrier: clang would compare v with a power of two that it puts
     * into a register, on the left, and before 6.2 the verifier follows such a comparison also
     * where it cannot come true, with ranges that contradict themselves. */
#define HALVE(n) \
    rest = v >> (n); \
    asm volatile("" : "+r"(rest)); \
    if (rest) { b += (n); v = rest; }
    HALVE(32)
    HALVE(16)
    HALVE(8)
    HALVE(4)
    HALVE(2)
    HALVE(1)
#undef HALVE
    return b;
}

/* The same for a histogram of so many buckets (a constant); the last takes the rest. In assembly:
 * clang leaves the comparison out where it knows the range, which the verifier does not. */
#define bucket_of(v, buckets) ({ \
    u64 _bucket = log2_bucket(v); \
    asm volatile("if %0 > %1 goto +1\n\tgoto +1\n\t%0 = %1" : "+r"(_bucket) : "i"((buckets) - 1)); \
    _bucket; \
})

/* A number that is put over its mark before the program is loaded (compile/numbers.py). */
#define NUMBER_AT(mark) ({ u64 _number; asm volatile("%0 = %1" : "=r"(_number) : "i"(mark)); _number; })

/* Whether to leave this event out of the sample, of which one in so many is; the mark: all are. */
#define MOST_ONE_IN 4096
#define LEFT_OUT ({ \
    u64 _one_in = NUMBER_AT(0x5eed0001); \
    _one_in <= MOST_ONE_IN && bpf_get_prandom_u32() % (u32)_one_in; \
})

/* The one system call that is wanted, with the mark of its table. */
#define ONLY_CALL ((u32)NUMBER_AT(0x5eed0002))

/* bcc's own declaration cuts the cookie to 32 bits. */
#define SOCKET_COOKIE(ctx) (((u64 (*)(void *))BPF_FUNC_get_socket_cookie)((void *)(ctx)))

#include "constants.h"

/* Our PID namespace, which is not the first one: its inode, and the device of that. */
#ifdef IN_PIDNS
#define PIDNS ((u32)NUMBER_AT(0x5eed0003))
#define PIDNS_DEV NUMBER_AT(0x5eed0004)
#endif
