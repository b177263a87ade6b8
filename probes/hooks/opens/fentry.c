int leave(u64 *ctx) {
    opened(ctx[1], (int)ctx[3]);
    return 0;
}
