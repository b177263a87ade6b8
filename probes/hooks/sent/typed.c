int any_sent(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    u16 protocol = sk->sk_protocol == 262 /* MPTCP */ ? IPPROTO_TCP : sk->sk_protocol;
    if (counts(sk->__sk_common.skc_family, protocol))
        sent(protocol, ctx[1]);
    return 0;
}
