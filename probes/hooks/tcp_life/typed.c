int state(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    struct figures now = {};
    struct connection *c;
    struct tcp_sock *tcp;
    u32 old = ctx[1], new = ctx[2];
    u64 id = ctx[0];
    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    if (new == TCP_SYN_SENT) {
        connects(id, bpf_ntohs(sk->__sk_common.skc_dport));
        return 0;
    }
    if (new == TCP_SYN_RECV && old != TCP_SYN_SENT) {
        begins(id);
        return 0;
    }
    if (new == TCP_ESTABLISHED) {
        c = opening(id, old != TCP_SYN_SENT, bpf_ntohs(sk->__sk_common.skc_dport));
        if (!c)
            return 0;
        ends_of_sock(sk, c->laddr, c->raddr, &c->lport, &c->rport);
        established(c);
        return 0;
    }
    c = open.lookup(&id);
    if (!c || !(tcp = (void *)bpf_skc_to_tcp_sock((void *)sk)))
        return 0;
    if (is_another(c, bpf_ntohs(tcp->inet_conn.icsk_inet.inet_sport),
                   bpf_ntohs(sk->__sk_common.skc_dport))) {
        begins(id);
        return 0;
    }
    figures_of(tcp, &now);
    moved(id, c, old, new, &now);
    return 0;
}

int again(u64 *ctx) {
    u64 id = ctx[0];
    struct connection *c = open.lookup(&id);
    struct tcp_sock *tcp = (void *)bpf_skc_to_tcp_sock(ARG(ctx, 0, void *));
    if (c && c->at && tcp)
        resent(c, slot_of(c), tcp->total_retrans);
    return 0;
}
