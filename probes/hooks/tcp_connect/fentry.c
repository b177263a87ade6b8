int connect4(u64 *ctx) {
    called(ctx[0], ARG(ctx, 1, char *), ctx[2], 0);
    return 0;
}
int connect6(u64 *ctx) {
    called(ctx[0], ARG(ctx, 1, char *), ctx[2], 1);
    return 0;
}
int connected4(u64 *ctx) {
    returned(ctx[0], ctx[3]);
    return 0;
}
int connected6(u64 *ctx) {
    returned(ctx[0], ctx[3]);
    return 0;
}
int settled(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    moved(sk, ctx[0], ctx[1], ctx[2], sk->sk_err, sk->sk_txhash);
    return 0;
}
