/* A socket as programs at sockets and cgroups see it. Only the kernel's own struct tells its
 * network namespace, and only to programs that may read it by its type. */

static inline u32 netns_of(struct bpf_sock *sk, u32 protocol) {
#ifdef HAVE_BTF
    if (protocol == IPPROTO_TCP) {
        struct tcp_sock *tcp = (void *)bpf_skc_to_tcp_sock(sk);
        if (tcp)
            return tcp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->ns.inum;
    } else if (protocol == IPPROTO_UDP) {
        struct udp6_sock *udp = (void *)bpf_skc_to_udp6_sock(sk);
        if (udp)
            return udp->udp.inet.sk.__sk_common.skc_net.net->ns.inum;
    }
#endif
    return 0;
}
static inline void bound(struct bpf_sock *sk, u32 protocol, u8 *to) {
    if (sk && of_link(to))
        on_link(to, sk->bound_dev_if, netns_of(sk, protocol));
}
