/* CONNECT, BIND, SENDTO, SENDMSG: the numbers of the system calls. */

int enter(u64 *ctx) {
    struct pt_regs *regs = ARG(ctx, 0, struct pt_regs *);
    u32 call = ctx[1];
    if (call != CONNECT && call != BIND && call != SENDTO && call != SENDMSG)
        return 0;
    if (is_compat())
        return 0;
    u64 fd = PT_REGS_PARM1(regs), to = PT_REGS_PARM2(regs);
    if (call == CONNECT)
        called(0, fd, to, PT_REGS_PARM3(regs));
    else if (call == BIND)
        called(1, fd, to, PT_REGS_PARM3(regs));
    else if (call == SENDTO)
        called(2, fd, PT_REGS_PARM5(regs), PT_REGS_PARM6(regs));
    else
        called_with(fd, to);
    return 0;
}
