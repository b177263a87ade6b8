int state(struct trace_event_raw_inet_sock_set_state *ctx) {
    struct figures now = {};
    struct connection *c;
    u32 old = ctx->oldstate, new = ctx->newstate;
    u64 id = (u64)ctx->skaddr;
    if (ctx->protocol != IPPROTO_TCP)
        return 0;
    if (new == TCP_SYN_SENT) {
        connects(id, ctx->dport);
        return 0;
    }
    if (new == TCP_SYN_RECV && old != TCP_SYN_SENT) {
        begins(id);
        return 0;
    }
    if (new == TCP_ESTABLISHED) {
        c = opening(id, old != TCP_SYN_SENT, ctx->dport);
        if (!c)
            return 0;
        /* these hold the mapped form for IPv4 */
        __builtin_memcpy(c->laddr, ctx->saddr_v6, 16);
        __builtin_memcpy(c->raddr, ctx->daddr_v6, 16);
        if (of_link(c->laddr) || of_link(c->raddr)) {
            u32 ifindex = PROBE(((struct sock *)id)->__sk_common.skc_bound_dev_if);
            struct net *net = PROBE(((struct sock *)id)->__sk_common.skc_net.net);
            u32 netns = PROBE(net->ns.inum);
            on_link(c->laddr, ifindex, netns);
            on_link(c->raddr, ifindex, netns);
        }
        c->lport = ctx->sport;
        c->rport = ctx->dport;
        established(c);
        return 0;
    }
    c = open.lookup(&id);
    if (!c)
        return 0;
    if (is_another(c, ctx->sport, ctx->dport)) {
        begins(id);
        return 0;
    }
    figures_of((struct tcp_sock *)id, &now);
    moved(id, c, old, new, &now);
    return 0;
}

/* after the 8 common bytes: skbaddr, skaddr */
int again(u64 *ctx) {
    u64 id = ctx[2];
    struct connection *c = open.lookup(&id);
    if (c && c->at)
        resent(c, slot_of(c), PROBE(((struct tcp_sock *)id)->total_retrans));
    return 0;
}
