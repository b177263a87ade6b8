int connect(u64 *ctx) {
    called(0, ctx[2], ctx[3], ctx[4]);
    return 0;
}
int bind(u64 *ctx) {
    called(1, ctx[2], ctx[3], ctx[4]);
    return 0;
}
int sendto(u64 *ctx) {
    called(2, ctx[2], ctx[6], ctx[7]);
    return 0;
}
int sendmsg(u64 *ctx) {
    called_with(ctx[2], ctx[3]);
    return 0;
}
