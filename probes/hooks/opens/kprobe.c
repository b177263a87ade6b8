int enter(struct pt_regs *ctx) {
    begun(PT_REGS_PARM2(ctx));
    return 0;
}
int leave(struct pt_regs *ctx) {
    ended((int)PT_REGS_RC(ctx));
    return 0;
}
