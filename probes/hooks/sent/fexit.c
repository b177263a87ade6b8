/* For a socket in a sockhash, ours (sk-msg) or another's, calls go to tcp_bpf_sendmsg instead. A
 * call on an IPv6 socket to an IPv4 address runs udp_sendmsg within udpv6_sendmsg: the inner one
 * is on an IPv6 socket and is left to the outer one. */

int tcp_sent(u64 *ctx) {
    sent(IPPROTO_TCP, ctx[3]);
    return 0;
}
int tcp_page_sent(u64 *ctx) {
    sent(IPPROTO_TCP, ctx[5]);
    return 0;
}
int udp_sent(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    if (sk->__sk_common.skc_family == AF_INET && sk->sk_protocol == IPPROTO_UDP)
        sent(IPPROTO_UDP, ctx[3]);
    return 0;
}
int udp6_sent(u64 *ctx) {
    if (ARG(ctx, 0, struct sock *)->sk_protocol == IPPROTO_UDP)
        sent(IPPROTO_UDP, ctx[3]);
    return 0;
}
