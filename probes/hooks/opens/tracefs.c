/* Fields after the 8 common bytes and the number: the arguments, or the result. */

int enter_first(u64 *ctx) {
    begun(ctx[2]);
    return 0;
}
int enter(u64 *ctx) {
    begun(ctx[3]);
    return 0;
}
int leave(u64 *ctx) {
    ended(ctx[2]);
    return 0;
}
