BPF_TABLE("hash", u64, u64, inside, 8192);

int tcp_sent(struct pt_regs *ctx) {
    sent(IPPROTO_TCP, PT_REGS_RC(ctx));
    return 0;
}
int udp_sent(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    if (!inside.lookup(&thread))
        sent(IPPROTO_UDP, PT_REGS_RC(ctx));
    return 0;
}
int udp6_begins(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid(), yes = 1;
    if (inside.update(&thread, &yes))
        not_counted();
    return 0;
}
int udp6_sent(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    inside.delete(&thread);
    sent(IPPROTO_UDP, PT_REGS_RC(ctx));
    return 0;
}
