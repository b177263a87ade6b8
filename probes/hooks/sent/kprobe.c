/* A call of udp_sendmsg on an IPv6 socket runs within udpv6_sendmsg, which counts. Each call says
 * anew which it is, so that none is left out after one whose return was missed. */

BPF_TABLE("hash", u64, u64, inside, 8192);

int tcp_sent(struct pt_regs *ctx) {
    sent(IPPROTO_TCP, PT_REGS_RC(ctx));
    return 0;
}
int udp_begins(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid(), yes = 1;
    struct sock *sk = (void *)PT_REGS_PARM1(ctx);
    u16 family = PROBE(sk->__sk_common.skc_family);
    if (family != AF_INET6)
        inside.delete(&thread);
    else if (inside.update(&thread, &yes))
        not_counted();
    return 0;
}
int udp_sent(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    if (inside.delete(&thread))
        sent(IPPROTO_UDP, PT_REGS_RC(ctx));
    return 0;
}
int udp6_sent(struct pt_regs *ctx) {
    sent(IPPROTO_UDP, PT_REGS_RC(ctx));
    return 0;
}
