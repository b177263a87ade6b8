/* saddr and daddr hold a struct sockaddr_in6: family, port, then the IPv4 address, or flow and
 * IPv6. */

static inline void peer(u8 *from, u8 *to) {
    u32 v4 = 0;
    u16 family = 0;
    bpf_probe_read_kernel(&family, sizeof(family), from);
    if (family == AF_INET6) {
        bpf_probe_read_kernel(to, 16, from + 8);
        return;
    }
    bpf_probe_read_kernel(&v4, sizeof(v4), from + 4);
    mapped(to, v4);
}

int received(struct trace_event_raw_tcp_probe *ctx) {
    u64 cookie = ctx->sock_cookie;
    struct slot *slot = rows.lookup(&cookie), new = {};
    if (!slot) {
        peer(ctx->saddr, new.laddr);
        peer(ctx->daddr, new.raddr);
        new.lport = ctx->sport;
        new.rport = ctx->dport;
        slot = added(&cookie, &new);
        if (!slot)
            return 0;
    }
    slot->srtt_us = ctx->srtt;
    sampled(slot, slot->srtt_us);
    return 0;
}

int closed(struct trace_event_raw_inet_sock_set_state *ctx) {
    struct sock *sk = (struct sock *)ctx->skaddr;
    u64 cookie = 0;
    if (ctx->newstate != TCP_CLOSE)
        return 0;
    bpf_probe_read_kernel(&cookie, sizeof(cookie), &sk->__sk_common.skc_cookie);
    rows.delete(&cookie);
    return 0;
}
