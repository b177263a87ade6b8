/* struct bpf_sock_addr: the address a process asks for, before the kernel has looked at it. It
 * has no link. The link is in the name that the process passed: found through the registers of
 * its call, which lie at the end of its stack, as an argument of connect, bind and sendto, or in
 * sendmsg's message. It is used only if address and port are the same. Otherwise the link is the
 * one that the socket is bound to, if any. */

#ifdef LOCKED_DOWN
static inline u32 scope_asked(u8 *to, u16 port) { return 0; }
#else
#define STACK 16384
#define FROM_USER(to, size, from) \
    ((long (*)(void *, u32, const void *))BPF_FUNC_probe_read_user)((to), (size), (from))
static inline u32 scope_in(u64 name, u8 *to, u16 port) {
    struct {
        u16 family, port;
        u32 flow;
        u64 address[2];
        u32 scope, unused;
    } found = {};
    u64 *asked = (u64 *)to;
    if (FROM_USER(&found, 28, (void *)name) || found.family != AF_INET6 || found.port != port)
        return 0;
    if (found.address[0] != asked[0] || found.address[1] != asked[1])
        return 0;
    return found.scope;
}
static inline u32 scope_asked(u8 *to, u16 port) {
    struct task_struct *task = (void *)bpf_get_current_task();
    u64 stack = 0, second, fifth, name;
    u32 scope = 0;
    PROBE_KERNEL(&stack, sizeof(stack), &task->stack);
#pragma unroll
    for (int padding = 0; padding <= 16; padding += 16) {
        struct pt_regs *regs = (void *)(stack + STACK - padding - sizeof(struct pt_regs));
        second = fifth = name = 0;
        PROBE_KERNEL(&second, sizeof(second), &PT_REGS_PARM2(regs));
        PROBE_KERNEL(&fifth, sizeof(fifth), &PT_REGS_PARM5(regs));
        scope = scope_in(second, to, port);
        if (!scope)
            scope = scope_in(fifth, to, port);
        if (!scope && !FROM_USER(&name, sizeof(name), (void *)second))
            scope = scope_in(name, to, port);
        if (scope)
            break;
    }
    return scope;
}
#endif

static inline void asked4(struct bpf_sock_addr *ctx, u8 *to) { mapped(to, READ(ctx->user_ip4)); }
static inline void asked6(struct bpf_sock_addr *ctx, u8 *to) {
    u32 *words = (u32 *)to;
    words[0] = READ(ctx->user_ip6[0]);
    words[1] = READ(ctx->user_ip6[1]);
    words[2] = READ(ctx->user_ip6[2]);
    words[3] = READ(ctx->user_ip6[3]);
    if (of_link(to)) {
        struct bpf_sock *sk = ctx->sk;
        u32 scope = scope_asked(to, READ(ctx->user_port));
        if (sk)
            on_link(to, scope ? scope : sk->bound_dev_if, netns_of(sk, READ(ctx->protocol)));
    }
}
