int settled(struct trace_event_raw_inet_sock_set_state *ctx) {
    struct sock *sk = (struct sock *)ctx->skaddr;
    struct attempt attempt = {};
    int error = 0;
    u32 hash = 0;
    if (ctx->protocol != IPPROTO_TCP)
        return 0;
    if (ctx->newstate != TCP_SYN_SENT) {
        bpf_probe_read_kernel(&error, sizeof(error), &sk->sk_err);
        bpf_probe_read_kernel(&hash, sizeof(hash), &sk->sk_txhash);
        moved(sk, (u64)sk, ctx->oldstate, ctx->newstate, error, hash);
        return 0;
    }
    attempt.rport = ctx->dport;
    /* daddr_v6 holds the mapped form for IPv4 */
    bpf_probe_read_kernel(attempt.raddr, 16, ctx->daddr_v6);
    attempt.socket = number_of(sk);
    u32 ifindex = 0, netns = 0;
    link_of(sk, &ifindex, &netns);
    on_link(attempt.raddr, ifindex, netns);
    attempt.netns = netns;
    started((u64)sk, &attempt);
    return 0;
}
