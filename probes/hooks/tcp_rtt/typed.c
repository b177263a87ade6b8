/* tcp_probe fires for each segment that an established connection receives. */

static inline struct slot *add(struct sock *sk, u64 *cookie) {
    struct slot slot = {};
    ends_of_sock(sk, slot.laddr, slot.raddr, &slot.lport, &slot.rport);
    return added(cookie, &slot);
}

int received(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    struct tcp_sock *tcp = (void *)bpf_skc_to_tcp_sock((void *)sk);
    u64 cookie = SOCKET_COOKIE(sk);
    struct slot *slot = rows.lookup(&cookie);
    if (!tcp)
        return 0;
    if (!slot && !(slot = add(sk, &cookie)))
        return 0;
    slot->srtt_us = tcp->srtt_us >> 3;
    slot->min_us = tcp->rtt_min.s[0].v;
    slot->retransmits = tcp->total_retrans;
    slot->sent = tcp->data_segs_out;
    sampled(slot, slot->srtt_us);
    return 0;
}

int closed(u64 *ctx) {
    u64 cookie;
    if ((int)ctx[2] != TCP_CLOSE)
        return 0;
    cookie = SOCKET_COOKIE(ARG(ctx, 0, void *));
    rows.delete(&cookie);
    return 0;
}
