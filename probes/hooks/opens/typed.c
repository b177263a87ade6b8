/* Names in capitals are system call numbers, COMPAT_ marks those of 32-bit programs; NUMBER is the
 * field of struct pt_regs that has the number. */

/* Which argument is the path: 1 or 2; 3 or 4: the same of a 32-bit program's call. 0: no open. */
static inline u32 path_of(u32 call) {
    if (call == COMPAT_OPENAT || call == OPENAT2) {
        if (is_compat())
            return 4;
    } else if ((call == COMPAT_OPEN || call == COMPAT_CREAT) && is_compat()) {
        return 3;
    }
    call &= ~X32;
    if ((call != OPENAT && call != OPENAT2 && call != OPEN && call != CREAT) || is_compat())
        return 0;
    return call == OPENAT || call == OPENAT2 ? 2 : 1;
}
int enter(u64 *ctx) {
    struct pt_regs *regs = ARG(ctx, 0, struct pt_regs *);
    u32 which = path_of(ctx[1]);
    if (which == 4)
        begun((u32)COMPAT_PARM2(regs));
    else if (which == 3)
        begun((u32)COMPAT_PARM1(regs));
    else if (which)
        begun(which == 2 ? PT_REGS_PARM2(regs) : PT_REGS_PARM1(regs));
    return 0;
}
int leave(u64 *ctx) {
    u64 path = begun_by(bpf_get_current_pid_tgid());
    if (!path)
        return 0;
    if (path_of(ARG(ctx, 0, struct pt_regs *)->NUMBER))
        opened(path, ctx[1]);
    else
        not_counted(); /* another call: its end was missed */
    return 0;
}
