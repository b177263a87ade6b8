int enter(u64 *ctx) {
    begun(ctx[1]);
    return 0;
}
int leave(u64 *ctx) {
    ended((int)ctx[3]);
    return 0;
}
