/* What bcc brings to a source: its maps, with their methods, and the helpers that hooks call. For
 * clang -fsyntax-only, which then reads the C of hooks as plain C (test_syntax.py).
 * Nothing is compiled with it. */
#pragma once
#include <linux/types.h>

#include "/usr/include/linux/bpf.h"

#include <ebpftop/kernel_types.h>

struct bpf_stacktrace { u64 ip[127]; };

#define MAP(key, leaf, name)                                                                       \
    struct {                                                                                       \
        leaf *(*lookup)(key *);                                                                    \
        leaf *(*lookup_or_try_init)(key *, leaf *);                                                \
        long (*insert)(key *, leaf *);                                                             \
        long (*update)(key *, leaf *);                                                             \
        long (*delete)(key *);                                                                     \
        int (*get_stackid)(void *, u64);                                                           \
        long (*sock_hash_update)(struct bpf_sock_ops *, void *, u64);                              \
    } name
#define BPF_F_TABLE(kind, key, leaf, name, most, flags) extern MAP(key, leaf, name)
#define BPF_TABLE(kind, key, leaf, name, most) extern MAP(key, leaf, name)
#define BPF_ARRAY(name, leaf, most) extern MAP(int, leaf, name)
#define BPF_PERCPU_ARRAY(name, leaf, most) extern MAP(u32, leaf, name)
#define BPF_SOCKHASH(name, key, most) extern MAP(key, u32, name)
#define BPF_QUEUE(name, leaf, most)                                                                \
    extern struct {                                                                                \
        long (*push)(leaf *, u64);                                                                 \
    } name

u64 bpf_get_current_cgroup_id(void);
u64 bpf_get_current_pid_tgid(void);
u64 bpf_get_current_task(void);
u64 bpf_get_current_uid_gid(void);
u64 bpf_ktime_get_ns(void);
u32 bpf_get_prandom_u32(void);
u32 bpf_get_smp_processor_id(void);
long bpf_get_ns_current_pid_tgid(u64, u64, struct bpf_pidns_info *, u32);
long bpf_probe_read_kernel(volatile void *, u32, const volatile void *);
long bpf_probe_read_kernel_str(void *, u32, const void *);
long bpf_probe_read_user(void *, u32, const void *);
long bpf_probe_read_user_str(void *, u32, const void *);
long bpf_skb_load_bytes_relative(const void *, u32, void *, u32, u32);
void *bpf_skc_to_tcp_sock(void *);
void *bpf_skc_to_udp6_sock(void *);
long bpf_sock_ops_cb_flags_set(struct bpf_sock_ops *, int);

#define bpf_htons(x) ((u16)__builtin_bswap16(x))
#define bpf_ntohs(x) bpf_htons(x)
#define bpf_htonl(x) ((u32)__builtin_bswap32(x))
#define bpf_ntohl(x) bpf_htonl(x)

#define PT_REGS_PARM1(regs) ((regs)->di)
#define PT_REGS_PARM2(regs) ((regs)->si)
#define PT_REGS_PARM3(regs) ((regs)->dx)
#define PT_REGS_PARM4(regs) ((regs)->cx)
#define PT_REGS_PARM5(regs) ((regs)->r8)
#define PT_REGS_PARM6(regs) ((regs)->r9)
#define PT_REGS_RC(regs) ((regs)->ax)
#define PT_REGS_SP(regs) ((regs)->sp)
