/* Names in capitals are system call numbers; COMPAT_ marks those of 32-bit programs. */

int enter(u64 *ctx) {
    struct pt_regs *regs = ARG(ctx, 0, struct pt_regs *);
    u32 call = ctx[1];
    if (call == COMPAT_OPENAT || call == OPENAT2) {
        if (is_compat()) {
            begun((u32)COMPAT_PARM2(regs));
            return 0;
        }
    } else if ((call == COMPAT_OPEN || call == COMPAT_CREAT) && is_compat()) {
        begun((u32)COMPAT_PARM1(regs));
        return 0;
    }
    call &= ~X32;
    if (call != OPENAT && call != OPENAT2 && call != OPEN && call != CREAT)
        return 0;
    if (is_compat())
        return 0;
    begun(call == OPENAT || call == OPENAT2 ? PT_REGS_PARM2(regs) : PT_REGS_PARM1(regs));
    return 0;
}
int leave(u64 *ctx) {
    ended(ctx[1]);
    return 0;
}
