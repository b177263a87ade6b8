int enter(u64 *ctx) {
    entered(ctx[1]);
    return 0;
}
int leave(u64 *ctx) {
    u64 number = 0;
    bpf_probe_read_kernel(&number, sizeof(((struct pt_regs *)0)->NUMBER),
                          &ARG(ctx, 0, struct pt_regs *)->NUMBER);
    left(number, ctx[1]);
    return 0;
}
int signal(u64 *ctx) {
    struct k_sigaction *action = ARG(ctx, 2, struct k_sigaction *);
    u64 handler = 0, flags = 0;
    bpf_probe_read_kernel(&handler, sizeof(handler), &action->sa.sa_handler);
    bpf_probe_read_kernel(&flags, sizeof(flags), &action->sa.sa_flags);
    signalled(handler, flags);
    return 0;
}
int finish(u64 *ctx) { return ended(); }
