int settled(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    struct attempt attempt = {};
    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    if ((int)ctx[2] != TCP_SYN_SENT) {
        moved(sk, ctx[0], ctx[1], ctx[2], sk->sk_err, sk->sk_txhash);
        return 0;
    }
    u8 laddr[24] = {};
    u32 lport, rport;
    ends_of_sock(sk, laddr, attempt.raddr, &lport, &rport);
    attempt.rport = rport;
    attempt.socket = number_of(sk);
    attempt.netns = sk->__sk_common.skc_net.net->ns.inum;
    started(ctx[0], &attempt);
    return 0;
}
