BPF_TABLE("hash", u32, u64, calling, 8192);

static inline int entering(struct pt_regs *ctx, int v6) {
    u32 thread = bpf_get_current_pid_tgid();
    u64 sk = PT_REGS_PARM1(ctx);
    int begun = called(sk, (char *)PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), v6);
    u64 *before = calling.lookup(&thread);
    if (!begun && before && *before != sk)
        calling.delete(&thread); /* its return was missed: this call's is not that */
    if (begun && calling.update(&thread, &sk)) {
        not_counted(); /* unless the socket's state shows how it ends */
        returned(sk, 0);
    }
    return 0;
}
static inline int leaving(struct pt_regs *ctx) {
    u32 thread = bpf_get_current_pid_tgid();
    u64 *sk = calling.lookup(&thread);
    if (sk) {
        returned(*sk, PT_REGS_RC(ctx));
        calling.delete(&thread);
    }
    return 0;
}
int connect4(struct pt_regs *ctx) { return entering(ctx, 0); }
int connect6(struct pt_regs *ctx) { return entering(ctx, 1); }
int connected4(struct pt_regs *ctx) { return leaving(ctx); }
int connected6(struct pt_regs *ctx) { return leaving(ctx); }
int settled(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    int error = 0;
    u32 hash = 0;
    bpf_probe_read_kernel(&error, sizeof(error), &sk->sk_err);
    bpf_probe_read_kernel(&hash, sizeof(hash), &sk->sk_txhash);
    moved(sk, ctx[0], ctx[1], ctx[2], error, hash);
    return 0;
}
