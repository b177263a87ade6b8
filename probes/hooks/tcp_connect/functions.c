/* The kernel functions that connect. struct sockaddr_in: family, port, address; sockaddr_in6:
 * family, port, flow, address. For a mapped address tcp_v6_connect calls tcp_v4_connect, unless
 * the socket is IPv6-only. A name that is too short or of another family has no destination. A
 * SYN that was built stays queued at least until the call returns; if there is none, it goes with
 * the first write (TCP_FASTOPEN_CONNECT). */

static inline int is_same(struct attempt *a, struct attempt *b) {
    u64 *to = (u64 *)a->raddr, *also_to = (u64 *)b->raddr;
    return a->socket == b->socket && a->rport == b->rport && to[0] == also_to[0] &&
           to[1] == also_to[1];
}

static inline int called(u64 sk, char *to, int length, int v6) {
    struct attempt attempt = {}, *outer = pending.lookup(&sk);
    u32 address = 0, bound = 0;
    u16 port = 0, family = 0;
    bpf_probe_read_kernel(&family, sizeof(family), to);
    if (family != (v6 ? AF_INET6 : AF_INET) || length < (v6 ? 24 : 16))
        return 0;
    bpf_probe_read_kernel(&port, sizeof(port), to + 2);
    attempt.rport = bpf_ntohs(port);
    link_of((struct sock *)sk, &bound, &attempt.netns);
    if (v6) {
        u32 ifindex = 0;
        bpf_probe_read_kernel(attempt.raddr, 16, to + 8);
        if (length >= 28)
            bpf_probe_read_kernel(&ifindex, sizeof(ifindex), to + 24);
        on_link(attempt.raddr, ifindex ? ifindex : bound, attempt.netns);
    } else {
        bpf_probe_read_kernel(&address, sizeof(address), to + 4);
        mapped(attempt.raddr, address);
    }
    attempt.socket = number_of((struct sock *)sk);
    if (!v6 && outer && outer->sent == CALLED && is_same(outer, &attempt))
        return 0;
    attempt.sent = CALLED;
    caller(&attempt);
    begin(sk, &attempt);
    return 1;
}

static inline void returned(u64 sk, int result) {
    struct attempt *attempt = pending.lookup(&sk);
    void *syn = 0;
    if (!attempt)
        return;
    if (is_another(attempt, number_of((struct sock *)sk), TCP_SYN_SENT)) {
        forget(sk);
    } else if (result < 0) {
        settle(sk, -result);
    } else if (attempt->sent == CALLED) {
        bpf_probe_read_kernel(&syn, sizeof(syn), &((struct sock *)sk)->tcp_rtx_queue);
        attempt->sent = 1;
        attempt->deferred = !syn;
    }
}
