/* Fields after the 8 common bytes: id, then args or ret; sig, errno, code, handler, flags. They
 * have never moved. */

int enter(u64 *ctx) {
    entered(ctx[1]);
    return 0;
}
int leave(u64 *ctx) {
    left(ctx[1], ctx[2]);
    return 0;
}
int signal(u64 *ctx) {
    signalled(ctx[3], ctx[4]);
    return 0;
}
int finish(u64 *ctx) { return ended(); }
