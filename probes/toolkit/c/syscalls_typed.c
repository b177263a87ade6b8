int enter(u64 *ctx) {
    entered(ctx[1]);
    return 0;
}
int leave(u64 *ctx) {
    left(ARG(ctx, 0, struct pt_regs *)->NUMBER, ctx[1]);
    return 0;
}
int signal(u64 *ctx) {
    struct k_sigaction *action = ARG(ctx, 2, struct k_sigaction *);
    signalled((u64)action->sa.sa_handler, action->sa.sa_flags);
    return 0;
}
int finish(u64 *ctx) { return ended(); }
