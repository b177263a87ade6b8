/* The socket's cookie is the key. A connect that fails before the SYN gets no callback: the
 * reader finds it unsent, later where the SYN may wait for the first write
 * (TCP_FASTOPEN_CONNECT). */

static inline void never_sent(struct attempt *attempt) {
    struct slot *slot = slot_of(attempt), *all = sum_of_all();
    if (attempt->sent == LATER)
        TALLY(slot, all, connects, 1);
    TALLY(slot, all, other, 1);
}
static inline int starts(struct bpf_sock_addr *ctx, struct attempt *attempt) {
    struct bpf_sock *sk = ctx->sk;
    struct tcp_sock *tcp = sk ? (void *)bpf_skc_to_tcp_sock(sk) : 0;
    u64 cookie = SOCKET_COOKIE(ctx);
    struct attempt *before = pending.lookup(&cookie);
    if (before && before->sent != 1) {
        never_sent(before); /* the socket tries again: the earlier attempt failed */
        pending.delete(&cookie);
    }
    caller(attempt);
    attempt->rport = bpf_ntohs(READ(ctx->user_port));
    attempt->deferred = tcp && tcp->fastopen_connect;
    begin(cookie, attempt);
    return 1;
}
int who4(struct bpf_sock_addr *ctx) {
    struct attempt attempt = {};
    if (READ(ctx->protocol) != IPPROTO_TCP || READ(ctx->user_family) != AF_INET)
        return 1;
    asked4(ctx, attempt.raddr);
    return starts(ctx, &attempt);
}
int who6(struct bpf_sock_addr *ctx) {
    struct attempt attempt = {};
    if (READ(ctx->protocol) != IPPROTO_TCP || READ(ctx->user_family) != AF_INET6)
        return 1;
    asked6(ctx, attempt.raddr);
    attempt.sent = of_link(attempt.raddr) ? LATER : 0;
    return starts(ctx, &attempt);
}
int watch(struct bpf_sock_ops *ctx) {
    u32 op = READ(ctx->op);
    struct attempt *attempt;
    struct tcp_sock *tcp;
    struct bpf_sock *sk;
    u64 cookie;
    /* A connection to itself, or opened by both sides at once, is established as a passive one. */
    if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
        op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_STATE_CB)
        return 1;
    cookie = SOCKET_COOKIE(ctx);
    attempt = pending.lookup(&cookie);
    if (!attempt)
        return 1;
    if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
        if (attempt->sent == LATER) {
            bound(ctx->sk, IPPROTO_TCP, attempt->raddr);
            struct slot *slot = slot_of(attempt), *all = sum_of_all();
            TALLY(slot, all, connects, 1);
        }
        attempt->sent = 1;
        sk = ctx->sk; /* without a Fast Open cookie it requests one, without waiting */
        if (sk && (tcp = (void *)bpf_skc_to_tcp_sock(sk)) && !tcp->fastopen_req)
            attempt->deferred = 0;
        bpf_sock_ops_cb_flags_set(ctx,
                                  READ(ctx->bpf_sock_ops_cb_flags) | BPF_SOCK_OPS_STATE_CB_FLAG);
    } else if (op != BPF_SOCK_OPS_STATE_CB) {
        settle(cookie, 0);
    } else if (READ(ctx->args[1]) == TCP_CLOSE) {
        int error = 0;
        sk = ctx->sk;
        if (sk && (tcp = (void *)bpf_skc_to_tcp_sock(sk)))
            error = tcp->inet_conn.icsk_inet.sk.sk_err;
        settle(cookie, error ? error : GAVE_UP);
    }
    return 1;
}
