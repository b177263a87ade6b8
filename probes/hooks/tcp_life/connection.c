static inline struct slot *slot_of(struct connection *c) {
    struct side side = {.inward = c->inward};
    side.port = c->inward ? c->lport : c->rport;
    if (!c->inward) {
        side.caller = c->caller;
        __builtin_memcpy(side.name, c->name, 16);
    }
    return row_of(&side);
}

/* A socket begins where another was (a tracepoint's `id` is its address) whose end was missed
 * (docs/design/missed.md). */
static inline void begins(u64 id) {
    struct connection *c = open.lookup(&id);
    if (!c)
        return;
    if (c->at) {
        struct slot *slot = slot_of(c);
        struct sums *all = sum_of_all();
        TALLY(slot, all, closed, 1);
        miss(0);
    }
    open.delete(&id);
}

/* Whether it is a later socket's at the same address. A socket keeps its ports until it has
 * closed. */
static inline int is_another(struct connection *c, u32 lport, u32 rport) {
    return c->at && (c->lport != lport || c->rport != rport);
}

static inline void connects(u64 id, u32 rport) {
    struct connection c = {.rport = rport};
    begins(id);
    c.caller = this_pid();
    this_name(c.name);
    if (open.update(&id, &c))
        miss(0);
}

static inline struct connection *opening(u64 id, u32 inward, u32 rport) {
    struct connection *c = open.lookup(&id), new = {.inward = inward};
    if (c && !c->at && c->rport == rport)
        return c;
    begins(id);
    if (open.update(&id, &new))
        miss(0);
    return open.lookup(&id);
}

static inline void established(struct connection *c) {
    struct slot *slot = slot_of(c);
    struct sums *all = sum_of_all();
    c->at = bpf_ktime_get_ns();
    TALLY(slot, all, established, 1);
}

static inline void resent(struct connection *c, struct slot *slot, u32 total) {
    struct sums *all = sum_of_all();
    if (total > c->retransmits)
        TALLY(slot, all, retransmits, total - c->retransmits);
    c->retransmits = total;
}

static inline void ended(u64 id, struct connection *c, u32 old, struct figures *now) {
    struct slot *slot = slot_of(c);
    struct sums *all = sum_of_all();
    u64 bucket;
    struct event e = {.ns = bpf_ktime_get_ns() - c->at};
    resent(c, slot, now->retransmits);
    e.rx = now->rx;
    e.tx = now->tx;
    e.srtt_us = now->srtt_us;
    e.retransmits = now->retransmits;
    /* aborted unless both sides have sent a FIN */
    e.aborted = old != TCP_LAST_ACK && old != TCP_FIN_WAIT2 && old != TCP_CLOSING;
    e.inward = c->inward;
    e.lport = c->lport;
    e.rport = c->rport;
    e.pid = c->inward ? c->owner : c->caller;
    __builtin_memcpy(e.comm, c->inward ? c->owner_name : c->name, 16);
    __builtin_memcpy(e.laddr, c->laddr, 24);
    __builtin_memcpy(e.raddr, c->raddr, 24);
    bucket = bucket_of(e.ns, 40);
    TALLY(slot, all, closed, 1);
    TALLY(slot, all, aborted, e.aborted);
    TALLY(slot, all, rx, e.rx);
    TALLY(slot, all, tx, e.tx);
    TALLY(slot, all, total_ns, e.ns);
    TALLY(slot, all, total_srtt, e.srtt_us);
    TALLY(slot, all, latency[bucket], 1);
    if (slot && c->inward && c->owner) {
        slot->owner = c->owner;
        __builtin_memcpy(slot->owner_name, c->owner_name, 16);
    }
    log_event(&e);
}

/* A change of state of a connection that is followed. close() enters FIN_WAIT1 and LAST_ACK. */
static inline void moved(u64 id, struct connection *c, u32 old, u32 new, struct figures *now) {
    if (new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK) {
        c->owner = this_pid();
        this_name(c->owner_name);
    } else if (new == TCP_CLOSE_WAIT) {
        struct slot *slot = slot_of(c);
        struct sums *all = sum_of_all();
        TALLY(slot, all, closed_there, 1);
    } else if (new == TCP_CLOSE) {
        if (c->at)
            ended(id, c, old, now);
        else if (old != TCP_SYN_SENT && old != TCP_SYN_RECV)
            miss(0); /* it was established unseen */
        open.delete(&id);
    }
}

/* The kernel counts a FIN among the bytes received (SOCK_DONE says that there was one), and
 * retransmitted bytes among those sent. */
static inline void figures_of(struct tcp_sock *tcp, struct figures *now) {
    now->rx = GET(tcp->bytes_received) -
              ((GET(tcp->inet_conn.icsk_inet.sk.__sk_common.skc_flags) >> 1) & 1);
    now->tx = GET(tcp->bytes_sent) - GET(tcp->bytes_retrans);
    now->srtt_us = GET(tcp->srtt_us) >> 3;
    now->retransmits = GET(tcp->total_retrans);
}
