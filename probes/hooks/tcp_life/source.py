"""The C that follows a TCP connection from its establishment to its end, by any kind of program.

What was open before is not followed: when it began is not known. Who holds a connection is told
by the two steps that a process takes itself: it connects, and it closes.
"""

from __future__ import annotations

from probes.toolkit.counters_c import everything
from probes.toolkit.sockets_c import MAPPED, OF_SOCK, OF_SOCK_OPS, OF_SOCK_TYPES
from probes.toolkit.who_c import WHO, WHO_AT_CGROUP

TYPES = (*OF_SOCK_TYPES, "trace_event_raw_inet_sock_set_state")
MOST = 4096

# A row is a remote port and who connects to it, or a local port that others connect to (`inward`;
# then the one who closed last is its owner). `figures` are those of the connection at this moment.
_CORE = (
    MAPPED
    + f"""
struct side {{ u32 caller, port, inward, zero; char name[16]; }};
struct slot {{
    u64 established, closed, aborted, closed_there, retransmits, rx, tx, total_ns, total_srtt;
    u64 latency[40];
    u32 owner, zero_owner;
    char owner_name[16];
}};
struct sums {{
    u64 established, closed, aborted, closed_there, retransmits, rx, tx, total_ns, total_srtt;
    u64 latency[40];
}};
struct connection {{
    u64 at;
    u32 caller, inward, lport, rport, retransmits, owner;
    char name[16], owner_name[16];
    u8 laddr[24], raddr[24];
}};
struct event {{
    u64 ns, rx, tx;
    u32 pid, inward, lport, rport, retransmits, srtt_us, aborted, unused;
    char comm[16];
    u8 laddr[24], raddr[24];
}};
struct figures {{ u64 rx, tx; u32 srtt_us, retransmits; }};
BPF_TABLE("lru_hash", struct side, struct slot, rows, {MOST});
BPF_TABLE("hash", u64, struct connection, open, 32768);
BPF_TABLE("array", u32, struct slot, blank, 1);
BPF_ARRAY(lost, u64, 2); /* connections, and entries of the log */
BPF_QUEUE(events, struct event, 1024);
"""
    + everything("struct sums")
    + """
static inline void miss(u32 what) {
    u64 *missed = lost.lookup(&what);
    if (missed)
        ADD(missed, 1);
}

static inline struct slot *slot_of(struct connection *c) {
    struct side side = {.inward = c->inward};
    u32 first = 0;
    struct slot *zero = blank.lookup(&first), *slot;
    side.port = c->inward ? c->lport : c->rport;
    if (!c->inward) {
        side.caller = c->caller;
        __builtin_memcpy(side.name, c->name, 16);
    }
    slot = rows.lookup(&side);
    if (slot || !zero)
        return slot;
    rows.insert(&side, zero);
    return rows.lookup(&side);
}

static inline void connects(u64 id) {
    struct connection c = {};
    c.caller = this_pid();
    this_name(c.name);
    if (open.update(&id, &c))
        miss(0);
}

static inline struct connection *opening(u64 id, u32 inward) {
    struct connection *c = open.lookup(&id), new = {.inward = inward};
    if (c)
        return c;
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
    /* both sides have said that they are done, or it was cut off */
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
    if (events.push(&e, 0))
        miss(1);
}

/* A step of a connection that is followed. FIN_WAIT1 and LAST_ACK are taken by close(). */
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
        open.delete(&id);
    }
}
"""
)

# The kernel counts a FIN among the bytes that came (SOCK_DONE says that there was one), and what
# was sent again among those sent.
_FIGURES = """
static inline void figures_of(struct tcp_sock *tcp, struct figures *now) {
    now->rx = GET(tcp->bytes_received) -
              ((GET(tcp->inet_conn.icsk_inet.sk.__sk_common.skc_flags) >> 1) & 1);
    now->tx = GET(tcp->bytes_sent) - GET(tcp->bytes_retrans);
    now->srtt_us = GET(tcp->srtt_us) >> 3;
    now->retransmits = GET(tcp->total_retrans);
}
"""
_DIRECT = "#define GET(field) (field)\n"

AT_SOCK_OPS = (
    WHO_AT_CGROUP
    + _DIRECT
    + _CORE
    + _FIGURES
    + OF_SOCK_OPS
    + """
int watch(struct bpf_sock_ops *ctx) {
    u32 op = READ(ctx->op), old, new;
    struct figures now = {};
    struct connection *c;
    struct tcp_sock *tcp;
    struct bpf_sock *sk;
    u64 id;
    if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
        op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_STATE_CB &&
        op != BPF_SOCK_OPS_RETRANS_CB)
        return 1;
    id = SOCKET_COOKIE(ctx);
    if (op == BPF_SOCK_OPS_STATE_CB || op == BPF_SOCK_OPS_RETRANS_CB) {
        c = open.lookup(&id);
        sk = ctx->sk;
        if (!c || !sk || !(tcp = (void *)bpf_skc_to_tcp_sock(sk)))
            return 1;
        figures_of(tcp, &now);
        if (op == BPF_SOCK_OPS_RETRANS_CB && c->at)
            resent(c, slot_of(c), now.retransmits);
        else if (op == BPF_SOCK_OPS_STATE_CB)
            moved(id, c, READ(ctx->args[0]), READ(ctx->args[1]), &now);
        return 1;
    }
    bpf_sock_ops_cb_flags_set(ctx, READ(ctx->bpf_sock_ops_cb_flags) |
        BPF_SOCK_OPS_RETRANS_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG);
    if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
        connects(id);
        return 1;
    }
    c = opening(id, op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB);
    if (!c)
        return 1;
    ends_of(ctx, c->laddr, c->raddr, &c->lport, &c->rport);
    established(c);
    return 1;
}
"""
)

TYPED = (
    WHO
    + _DIRECT
    + _CORE
    + _FIGURES
    + OF_SOCK
    + """
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
        connects(id);
        return 0;
    }
    if (new == TCP_ESTABLISHED) {
        c = opening(id, old != TCP_SYN_SENT);
        if (!c)
            return 0;
        ends_of_sock(sk, c->laddr, c->raddr, &c->lport, &c->rport);
        established(c);
        return 0;
    }
    c = open.lookup(&id);
    if (!c || !(tcp = (void *)bpf_skc_to_tcp_sock((void *)sk)))
        return 0;
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
"""
)

TRACEFS = (
    WHO
    + "#define GET(field) PROBE(field)\n"
    + _CORE
    + _FIGURES
    + """
int state(struct trace_event_raw_inet_sock_set_state *ctx) {
    struct figures now = {};
    struct connection *c;
    u32 old = ctx->oldstate, new = ctx->newstate;
    u64 id = (u64)ctx->skaddr;
    if (ctx->protocol != IPPROTO_TCP)
        return 0;
    if (new == TCP_SYN_SENT) {
        connects(id);
        return 0;
    }
    if (new == TCP_ESTABLISHED) {
        c = opening(id, old != TCP_SYN_SENT);
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
"""
)
