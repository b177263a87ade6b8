"""The C that follows a TCP connect from the call to its end, one source for each kind of rung.

All count alike: an attempt begins in the process that calls connect(), under its pid and name;
it is settled when the socket leaves SYN_SENT (or the call itself fails), wherever that happens.
An IPv4 address is kept as ::ffff:a.b.c.d, so a destination has one form.
"""

from __future__ import annotations

from probes.toolkit.counters_c import UNCOUNTED, everything
from probes.toolkit.restarts import RESTARTS
from probes.toolkit.sockets_c import (
    MAPPED,
    OF_FD,
    OF_FD_TYPES,
    OF_NAME,
    OF_SOCK,
    OF_SOCK_ADDR,
    OF_SOCK_ADDR_TYPES,
)
from probes.toolkit.who_c import WHO, WHO_AT_CGROUP

TYPES = (*OF_FD_TYPES, *OF_SOCK_ADDR_TYPES, "trace_event_raw_inet_sock_set_state")

_CORE = (
    MAPPED
    + """
struct who { u32 pid; u16 rport; u16 unused; char comm[16]; u8 raddr[24]; };
struct slot {
    u64 connects, established, refused, unreachable, timed_out, gave_up, other, total_ns;
    u64 latency[40];
};
struct attempt { u64 at; u32 pid; u16 rport; u8 sent, deferred; char comm[16]; u8 raddr[24]; };
struct event { u64 ns; u32 pid; u16 rport; u16 unused; int error; u32 pad; char comm[16];
               u8 raddr[24]; };
BPF_TABLE("lru_hash", struct who, struct slot, rows, 8192);
BPF_TABLE("hash", u64, struct attempt, pending, 16384);
BPF_TABLE("percpu_array", u32, struct slot, blank, 1);
BPF_TABLE("array", u32, u64, lost, 2); /* attempts, and entries of the log */
BPF_QUEUE(events, struct event, 1024);
"""
    + everything()
    + UNCOUNTED
    + """
#define GAVE_UP -1
/* in `sent`: nothing is, and it is counted when the link of its address is known */
#define LATER 2

static inline struct slot *slot_of(struct attempt *attempt) {
    u32 first = 0;
    struct who key = {.pid = attempt->pid, .rport = attempt->rport};
    struct slot *zero = blank.lookup(&first), *slot;
    __builtin_memcpy(key.comm, attempt->comm, 16);
    __builtin_memcpy(key.raddr, attempt->raddr, 24);
    slot = rows.lookup(&key);
    if (slot || !zero)
        return slot;
    rows.insert(&key, zero);
    return rows.lookup(&key);
}

static inline void begin(u64 id, struct attempt *attempt) {
    struct slot *slot = slot_of(attempt), *all = sum_of_all();
    u32 first = 0;
    u64 *missed;
    attempt->at = bpf_ktime_get_ns();
    if (attempt->sent != LATER)
        TALLY(slot, all, connects, 1);
    if (pending.update(&id, attempt) && (missed = lost.lookup(&first)))
        ADD(missed, 1);
}

static inline void tally(struct attempt *attempt, int error) {
    struct slot *slot = slot_of(attempt), *all = sum_of_all();
    struct event event = {.pid = attempt->pid, .rport = attempt->rport, .error = error};
    u32 log = 1;
    u64 *missed;
    event.ns = attempt->deferred ? 0 : bpf_ktime_get_ns() - attempt->at;
    __builtin_memcpy(event.comm, attempt->comm, 16);
    __builtin_memcpy(event.raddr, attempt->raddr, 24);
    if (!error) {
        u64 bucket = bucket_of(event.ns, 40);
        TALLY(slot, all, established, 1);
        if (!attempt->deferred) {
            TALLY(slot, all, total_ns, event.ns);
            TALLY(slot, all, latency[bucket], 1);
        }
    } else if (error == ECONNREFUSED) {
        TALLY(slot, all, refused, 1);
    } else if (error == EHOSTUNREACH || error == ENETUNREACH) {
        TALLY(slot, all, unreachable, 1);
    } else if (error == ETIMEDOUT) {
        TALLY(slot, all, timed_out, 1);
    } else if (error == GAVE_UP) {
        TALLY(slot, all, gave_up, 1);
    } else {
        TALLY(slot, all, other, 1);
    }
    if (events.push(&event, 0) && (missed = lost.lookup(&log)))
        ADD(missed, 1);
}

static inline void settle(u64 id, int error) {
    struct attempt *found = pending.lookup(&id), attempt;
    if (!found)
        return;
    attempt = *found;
    pending.delete(&id);
    tally(&attempt, error);
}

static inline void caller(struct attempt *attempt) {
    attempt->pid = this_pid();
    this_name(attempt->comm);
}
"""
)

# Until the call returns (`sent`), what the socket goes through is the call's own affair: its
# result says how it failed. Where only states are seen an attempt begins as sent, and the call
# decides only what ends without an error of the socket's (`undecided`). A socket has a hash for its
# packets once it has a port.
_STATES = """
static inline void moved(u64 sk, int new, int error, u32 hash) {
    struct attempt *attempt;
    if (new == TCP_ESTABLISHED)
        settle(sk, 0);
    if (new != TCP_CLOSE)
        return;
    attempt = pending.lookup(&sk);
    if (attempt && attempt->sent && (error || !undecided(sk)))
        settle(sk, error ? error : hash ? GAVE_UP : EADDRNOTAVAIL);
}
"""

# struct sockaddr_in: family, port, address; sockaddr_in6: family, port, flow, address. For a mapped
# address tcp_v6_connect calls tcp_v4_connect, unless the socket is of IPv6 alone. A name of another
# family or too short names no destination. A SYN that was made waits to be acknowledged, until the
# call returns at least; where there is none it goes with the first write (TCP_FASTOPEN_CONNECT).
_CALLS = """
static inline int called(u64 sk, char *to, int length, int v6) {
    struct attempt attempt = {}, *outer = pending.lookup(&sk);
    u32 address = 0;
    u16 port = 0, family = 0;
    bpf_probe_read_kernel(&family, sizeof(family), to);
    if (family != (v6 ? AF_INET6 : AF_INET) || length < (v6 ? 24 : 16))
        return 0;
    if (!v6 && outer && !outer->sent)
        return 0;
    bpf_probe_read_kernel(&port, sizeof(port), to + 2);
    attempt.rport = bpf_ntohs(port);
    if (v6) {
        u32 ifindex = 0, bound = 0, netns = 0;
        bpf_probe_read_kernel(attempt.raddr, 16, to + 8);
        if (length >= 28)
            bpf_probe_read_kernel(&ifindex, sizeof(ifindex), to + 24);
        link_of((struct sock *)sk, &bound, &netns);
        on_link(attempt.raddr, ifindex ? ifindex : bound, netns);
    } else {
        bpf_probe_read_kernel(&address, sizeof(address), to + 4);
        mapped(attempt.raddr, address);
    }
    caller(&attempt);
    begin(sk, &attempt);
    return 1;
}

static inline void returned(u64 sk, int result) {
    struct attempt *attempt = pending.lookup(&sk);
    void *syn = 0;
    if (result < 0) {
        settle(sk, -result);
    } else if (attempt && !attempt->sent) {
        bpf_probe_read_kernel(&syn, sizeof(syn), &((struct sock *)sk)->tcp_rtx_queue);
        attempt->sent = 1;
        attempt->deferred = !syn;
    }
}
"""

_FENTRY = """
int connect4(u64 *ctx) { called(ctx[0], ARG(ctx, 1, char *), ctx[2], 0); return 0; }
int connect6(u64 *ctx) { called(ctx[0], ARG(ctx, 1, char *), ctx[2], 1); return 0; }
int connected4(u64 *ctx) { returned(ctx[0], ctx[3]); return 0; }
int connected6(u64 *ctx) { returned(ctx[0], ctx[3]); return 0; }
int settled(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    moved(ctx[0], ctx[2], sk->sk_err, sk->sk_txhash);
    return 0;
}
"""

_KPROBE = """
BPF_TABLE("hash", u32, u64, calling, 8192);

static inline int entering(struct pt_regs *ctx, int v6) {
    u32 thread = bpf_get_current_pid_tgid();
    u64 sk = PT_REGS_PARM1(ctx);
    int begun = called(sk, (char *)PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), v6);
    if (begun && calling.update(&thread, &sk)) {
        not_counted(); /* unless its socket's state tells how it ends */
        returned(sk, 0);
    }
    return 0;
}
static inline int leaving(struct pt_regs *ctx) {
    u32 thread = bpf_get_current_pid_tgid();
    u64 *sk = calling.lookup(&thread);
    if (sk) {
        returned(*sk, PT_REGS_RC(ctx));
        calling.delete(&thread);
    }
    return 0;
}
int connect4(struct pt_regs *ctx) { return entering(ctx, 0); }
int connect6(struct pt_regs *ctx) { return entering(ctx, 1); }
int connected4(struct pt_regs *ctx) { return leaving(ctx); }
int connected6(struct pt_regs *ctx) { return leaving(ctx); }
int settled(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    int error = 0;
    u32 hash = 0;
    bpf_probe_read_kernel(&error, sizeof(error), &sk->sk_err);
    bpf_probe_read_kernel(&hash, sizeof(hash), &sk->sk_txhash);
    moved(ctx[0], ctx[2], error, hash);
    return 0;
}
"""

# A connect that has no route changes no state; only the call shows it. Which socket the call is for
# is found by its file descriptor; one that is connecting already only asks for the outcome of an
# attempt that was counted before. What gets as far as SYN_SENT (`sk`) and is closed within the
# call, without an error of the socket's, never sent a SYN: no port was left, or it was refused.
_CALLING = """
struct calling { u64 to, sk; u32 length, failed, ifindex, netns; };
BPF_TABLE("hash", u32, struct calling, calls, 4096);

static inline int undecided(u64 sk) {
    u32 thread = bpf_get_current_pid_tgid();
    struct calling *call = calls.lookup(&thread);
    if (!call || call->sk != sk)
        return 0;
    call->failed = 1;
    return 1;
}
"""
_SYSCALL = """
int connect_enter(u64 *ctx) {
    struct calling call = {.to = ctx[3], .length = ctx[4]};
    u32 thread = bpf_get_current_pid_tgid();
    struct socket *socket = socket_of(ctx[2]);
    int state = 0;
    bpf_probe_read_kernel(&state, sizeof(state), &socket->state);
    u32 protocol = protocol_of(socket);
    link_of(follow(&socket->sk), &call.ifindex, &call.netns);
    if (state == 1 /* SS_UNCONNECTED */ && (protocol == IPPROTO_TCP || protocol == 262 /* MPTCP */))
        if (calls.update(&thread, &call))
            not_counted();
    return 0;
}

int connect_leave(u64 *ctx) {
    u32 thread = bpf_get_current_pid_tgid();
    struct calling *call = calls.lookup(&thread);
    struct attempt attempt = {};
    struct slot *slot, *all = sum_of_all();
    char to[28] = {};
    long error = -(long)ctx[2];
    if (!call)
        return 0;
    u64 sk = call->sk;
    u32 failed = call->failed;
    u16 family = named(to, call->to, call->length, attempt.raddr, &attempt.rport, call->ifindex,
                       call->netns);
    calls.delete(&thread);
    if (sk) {
        struct attempt *going = pending.lookup(&sk);
        if (failed)
            settle(sk, error > 0 && !restarts(-error) ? error : GAVE_UP);
        else if (going && !error) /* the SYN goes with the first write: TCP_FASTOPEN_CONNECT */
            going->deferred = 1;
        return 0;
    }
    /* EINVAL: a blackhole. */
    if (error != ENETUNREACH && error != EHOSTUNREACH && error != EADDRNOTAVAIL &&
        error != EACCES && error != EPERM && error != EINVAL)
        return 0;
    if (!family)
        return 0;
    caller(&attempt);
    attempt.at = bpf_ktime_get_ns();
    slot = slot_of(&attempt);
    TALLY(slot, all, connects, 1);
    tally(&attempt, error);
    return 0;
}

static inline void started(u64 sk, struct attempt *attempt) {
    u32 thread = bpf_get_current_pid_tgid();
    struct calling *call = calls.lookup(&thread);
    if (call)
        call->sk = sk;
    caller(attempt);
    attempt->sent = 1;
    begin(sk, attempt);
}
"""

_TYPED = """
int settled(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    struct attempt attempt = {};
    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;
    if ((int)ctx[2] != TCP_SYN_SENT) {
        moved(ctx[0], ctx[2], sk->sk_err, sk->sk_txhash);
        return 0;
    }
    u8 laddr[24] = {};
    u32 lport, rport;
    ends_of_sock(sk, laddr, attempt.raddr, &lport, &rport);
    attempt.rport = rport;
    started(ctx[0], &attempt);
    return 0;
}
"""

_TRACEFS = """
int settled(struct trace_event_raw_inet_sock_set_state *ctx) {
    struct sock *sk = (struct sock *)ctx->skaddr;
    struct attempt attempt = {};
    int error = 0;
    u32 hash = 0;
    if (ctx->protocol != IPPROTO_TCP)
        return 0;
    if (ctx->newstate != TCP_SYN_SENT) {
        bpf_probe_read_kernel(&error, sizeof(error), &sk->sk_err);
        bpf_probe_read_kernel(&hash, sizeof(hash), &sk->sk_txhash);
        moved((u64)sk, ctx->newstate, error, hash);
        return 0;
    }
    attempt.rport = ctx->dport;
    /* daddr_v6 holds the mapped form for IPv4 */
    bpf_probe_read_kernel(attempt.raddr, 16, ctx->daddr_v6);
    u32 ifindex = 0, netns = 0;
    link_of(sk, &ifindex, &netns);
    on_link(attempt.raddr, ifindex, netns);
    started((u64)sk, &attempt);
    return 0;
}
"""

# The socket's cookie stands for it. A connect that fails before the SYN is never called back: the
# reader finds it unsent, later where the SYN may wait for the first write (TCP_FASTOPEN_CONNECT).
_SOCK_OPS = """
static inline void never_sent(struct attempt *attempt) {
    struct slot *slot = slot_of(attempt), *all = sum_of_all();
    if (attempt->sent == LATER)
        TALLY(slot, all, connects, 1);
    TALLY(slot, all, other, 1);
}
static inline int starts(struct bpf_sock_addr *ctx, struct attempt *attempt) {
    struct bpf_sock *sk = ctx->sk;
    struct tcp_sock *tcp = sk ? (void *)bpf_skc_to_tcp_sock(sk) : 0;
    u64 cookie = SOCKET_COOKIE(ctx);
    struct attempt *before = pending.lookup(&cookie);
    if (before && before->sent != 1)
        never_sent(before); /* the socket tries again: nothing came of it */
    caller(attempt);
    attempt->rport = bpf_ntohs(READ(ctx->user_port));
    attempt->deferred = tcp && tcp->fastopen_connect;
    begin(cookie, attempt);
    return 1;
}
int who4(struct bpf_sock_addr *ctx) {
    struct attempt attempt = {};
    if (READ(ctx->protocol) != IPPROTO_TCP || READ(ctx->user_family) != AF_INET)
        return 1;
    asked4(ctx, attempt.raddr);
    return starts(ctx, &attempt);
}
int who6(struct bpf_sock_addr *ctx) {
    struct attempt attempt = {};
    if (READ(ctx->protocol) != IPPROTO_TCP || READ(ctx->user_family) != AF_INET6)
        return 1;
    asked6(ctx, attempt.raddr);
    attempt.sent = of_link(attempt.raddr) ? LATER : 0;
    return starts(ctx, &attempt);
}
int watch(struct bpf_sock_ops *ctx) {
    u32 op = READ(ctx->op);
    struct attempt *attempt;
    struct tcp_sock *tcp;
    struct bpf_sock *sk;
    u64 cookie;
    /* A connection to itself, or begun by both sides, is established as one that came to us. */
    if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
        op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_STATE_CB)
        return 1;
    cookie = SOCKET_COOKIE(ctx);
    attempt = pending.lookup(&cookie);
    if (!attempt)
        return 1;
    if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
        if (attempt->sent == LATER) {
            bound(ctx->sk, IPPROTO_TCP, attempt->raddr);
            struct slot *slot = slot_of(attempt), *all = sum_of_all();
            TALLY(slot, all, connects, 1);
        }
        attempt->sent = 1;
        sk = ctx->sk; /* without a cookie it asks for one, and does not wait */
        if (sk && (tcp = (void *)bpf_skc_to_tcp_sock(sk)) && !tcp->fastopen_req)
            attempt->deferred = 0;
        bpf_sock_ops_cb_flags_set(ctx, READ(ctx->bpf_sock_ops_cb_flags) |
                                       BPF_SOCK_OPS_STATE_CB_FLAG);
    } else if (op != BPF_SOCK_OPS_STATE_CB) {
        settle(cookie, 0);
    } else if (READ(ctx->args[1]) == TCP_CLOSE) {
        int error = 0;
        sk = ctx->sk;
        if (sk && (tcp = (void *)bpf_skc_to_tcp_sock(sk)))
            error = tcp->inet_conn.icsk_inet.sk.sk_err;
        settle(cookie, error ? error : GAVE_UP);
    }
    return 1;
}
"""

_NO_CALLS = """
static inline int undecided(u64 sk) { return 0; }
"""
_CALL = RESTARTS + _CALLING + _STATES + OF_FD + OF_NAME + _SYSCALL
SOURCES = {
    "fentry": WHO + _CORE + OF_FD + _NO_CALLS + _STATES + _CALLS + _FENTRY,
    "kprobe": WHO + _CORE + OF_FD + _NO_CALLS + _STATES + _CALLS + _KPROBE,
    "typed": WHO + _CORE + _CALL + OF_SOCK + _TYPED,
    "tracefs": WHO + _CORE + _CALL + _TRACEFS,
    "sock_ops": WHO_AT_CGROUP + _CORE + OF_SOCK_ADDR + _SOCK_OPS,
}
