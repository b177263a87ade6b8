"""TCP round trips: every connection's RTT as the kernel estimates it, and its retransmits.

sock_ops and tcp_probe see samples as they are made; what was open before, and what no program
may see, comes from an iterator or sock_diag in the same rows, marked in the column `from`.
"""

from __future__ import annotations

from collections.abc import Callable

from probes.attach.cgroup import CgroupAttach, CgroupLink
from probes.attach.tracepoint import BtfTracepoint, Tracepoint
from probes.hooks.tcp_rtt import open_sockets
from probes.hooks.tcp_rtt.open_sockets import OpenSocket, OpenSockets, minimum
from probes.kernel import privilege
from probes.kernel.procfs import SocketOwners
from probes.model import Column, Hook, Kind, Opening, Program, Reading, Rung, Value
from probes.point import AttachType
from probes.toolkit import counters_c, sockets_c
from probes.toolkit.columns import quantile
from probes.toolkit.decode import address
from probes.toolkit.readers import Uncounted, row_of
from probes.units import Unit

_BUCKETS = 32

# The row is keyed by the socket's cookie, which sock_diag knows as well.
_CORE = (
    sockets_c.MAPPED
    + counters_c.UNCOUNTED
    + f"""
#define BUCKETS {_BUCKETS}
struct slot {{
    u8 laddr[24], raddr[24];
    u32 lport, rport, srtt_us, min_us, last_us, unused;
    u64 samples, retransmits, rtt[BUCKETS];
}};
BPF_TABLE("hash", u64, struct slot, rows, 16384); /* until they are closed */

static inline void sampled(struct slot *slot, u32 us) {{
    slot->last_us = us;
    slot->samples++;
    slot->rtt[bucket_of(us, BUCKETS)]++;
}}
"""
)

# A callback comes once for each round trip that was measured. Before Linux 6.10 it does not say
# the sample, so the smoothed estimate stands for it.
_SOCK_OPS = (
    _CORE
    + open_sockets.SOURCE
    + sockets_c.OF_SOCK_OPS
    + """
static inline struct slot *add(struct bpf_sock_ops *ctx, u64 cookie) {
    struct slot slot = {};
    ends_of(ctx, slot.laddr, slot.raddr, &slot.lport, &slot.rport);
    rows.insert(&cookie, &slot);
    return rows.lookup(&cookie);
}

int watch(struct bpf_sock_ops *ctx) {
    u32 op = READ(ctx->op), srtt, sample;
    struct slot *slot;
    u64 cookie;
    if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
        bpf_sock_ops_cb_flags_set(ctx, READ(ctx->bpf_sock_ops_cb_flags) |
            BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG);
    else if (op != BPF_SOCK_OPS_RTT_CB && op != BPF_SOCK_OPS_RETRANS_CB &&
             op != BPF_SOCK_OPS_STATE_CB)
        return 1;
    cookie = SOCKET_COOKIE(ctx);
    if (op == BPF_SOCK_OPS_STATE_CB) {
        if (READ(ctx->args[1]) == TCP_CLOSE)
            rows.delete(&cookie);
        return 1;
    }
    slot = rows.lookup(&cookie);
    if (!slot && !(slot = add(ctx, cookie))) {
        not_counted();
        return 1;
    }
    srtt = READ(ctx->srtt_us) >> 3;
    sample = READ(ctx->args[0]);
    slot->retransmits = READ(ctx->total_retrans);
    slot->srtt_us = srtt;
    slot->min_us = READ(ctx->rtt_min);
    if (op == BPF_SOCK_OPS_RTT_CB)
        sampled(slot, sample ? sample : srtt);
    return 1;
}
"""
)

# tcp_probe comes for each segment that an established connection receives.
_TYPED = (
    _CORE
    + open_sockets.SOURCE
    + """
static inline struct slot *add(struct sock *sk, u64 cookie) {
    struct slot slot = {};
    ends_of_sock(sk, slot.laddr, slot.raddr, &slot.lport, &slot.rport);
    rows.insert(&cookie, &slot);
    return rows.lookup(&cookie);
}

int received(u64 *ctx) {
    struct sock *sk = ARG(ctx, 0, struct sock *);
    struct tcp_sock *tcp = (void *)bpf_skc_to_tcp_sock((void *)sk);
    u64 cookie = SOCKET_COOKIE(sk);
    struct slot *slot = rows.lookup(&cookie);
    if (!tcp)
        return 0;
    if (!slot && !(slot = add(sk, cookie))) {
        not_counted();
        return 0;
    }
    slot->srtt_us = tcp->srtt_us >> 3;
    slot->min_us = tcp->rtt_min.s[0].v;
    slot->retransmits = tcp->total_retrans;
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
"""
)

# struct sockaddr_in6 in saddr and daddr: family, port, then the IPv4 address or flow and IPv6.
_TRACEFS = (
    _CORE
    + open_sockets.SOURCE
    + """
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
        rows.insert(&cookie, &new);
        slot = rows.lookup(&cookie);
        if (!slot) {
            not_counted();
            return 0;
        }
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
"""
)
_TYPES = (
    *open_sockets.TYPES,
    "trace_event_raw_tcp_probe",
    "trace_event_raw_inet_sock_set_state",
)


def _open(source: str) -> Callable[[Opening], Callable[[], Reading]]:
    """Rows of the map (if there is one), completed by sock_diag and by who holds the socket."""

    def open(opening: Opening) -> Callable[[], Reading]:
        columns = opening.hook.stored
        table = opening.tables.get("rows")
        rows = table.rows if table is not None else list
        row = row_of(columns, table) if table is not None else tuple
        at = {c.name: i for i, c in enumerate(columns)}
        known = [at[name] for name in OpenSocket._fields[:-1]]
        pid, comm, origin = at["pid"], at["comm"], at["from"]
        owners, sockets = SocketOwners(), OpenSockets(opening)
        uncounted = Uncounted(opening, {})

        def read() -> Reading:
            seen: dict[int, list[Value]] = {}
            for entry in rows():
                values = seen[int(entry[0])] = list(row(entry))
                values[origin] = source
            now = sockets.read()
            whose = owners.find({s.inode for s in now})
            for socket in now:
                found = seen.get(socket.cookie)
                if found is None:
                    found = seen[socket.cookie] = [None] * len(columns)
                    found[origin] = sockets.origin
                # The estimate as it stands now: tcp_probe sees the one before each segment.
                for place, value in zip(known, socket, strict=False):
                    found[place] = value
                owner = whose.get(socket.inode)
                if owner is not None:
                    found[pid], found[comm] = owner.pid, owner.comm
            return Reading([tuple(values) for values in seen.values()], uncounted.read())

        return read

    return open


def _sock_ops(name: str, least: str, point: CgroupLink | CgroupAttach) -> Rung:
    return Rung(
        name,
        f"{least}, cgroup v2, CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN",
        _open("sock_ops"),
        source=_SOCK_OPS,
        types=_TYPES,
        programs=(Program("watch", point), open_sockets.PROGRAM),
        lasting=point.lasting,
    )


HOOK = Hook(
    name="tcp-rtt",
    title="RTT",
    answers="Which TCP connections have a bad round trip or retransmit, and whose they are.",
    columns=(
        Column("cookie", "Cookie", Unit.NUMBER, Kind.KEY, "key", hidden=True, help="the socket's"),
        Column(
            "laddr",
            "Local",
            field="laddr",
            decode=address,
            width=22,
            label=False,
            help="local address",
        ),
        Column(
            "lport", "LPort", Unit.NUMBER, field="lport", width=5, label=False, help="local port"
        ),
        Column(
            "raddr",
            "Remote",
            field="raddr",
            decode=address,
            width=22,
            label=True,
            help="remote address",
        ),
        Column(
            "rport", "RPort", Unit.NUMBER, field="rport", width=5, label=False, help="remote port"
        ),
        Column("comm", "Command", width=16, label=True, help="the process that holds the socket"),
        Column("pid", "Pid", Unit.NUMBER, width=7, label=False, help="its id"),
        Column("srtt_us", "SRTT", Unit.US, field="srtt_us", help="smoothed round trip"),
        Column(
            "min_us",
            "Min",
            Unit.US,
            field="min_us",
            decode=minimum,
            help="the kernel's windowed minimum",
        ),
        Column("last_us", "Last", Unit.US, field="last_us", help="the latest sample"),
        Column(
            "rtt",
            "RTT",
            Unit.US,
            Kind.HISTOGRAM,
            "rtt",
            hidden=True,
            help="round trips, log2 of us",
        ),
        Column(
            "p50_us",
            "p50",
            Unit.US,
            Kind.DERIVED,
            derive=quantile("rtt", 0.5, least="min_us"),
            help="median, last 10 s, within a factor of two",
        ),
        Column(
            "p99_us",
            "p99",
            Unit.US,
            Kind.DERIVED,
            derive=quantile("rtt", 0.99, least="min_us"),
            help="99th percentile, last 10 s, within a factor of two",
        ),
        Column("samples", "Samples", Unit.COUNT, Kind.COUNTER, "samples", help="RTT samples seen"),
        Column(
            "retransmits",
            "Retrans",
            Unit.COUNT,
            Kind.COUNTER,
            "retransmits",
            help="segments sent again since the connection was opened",
        ),
        Column("from", "From", width=9, label=False, help="where the round trip comes from"),
    ),
    ladder=(
        _sock_ops("sock_ops-link", "Linux 5.10", CgroupLink(AttachType.CGROUP_SOCK_OPS)),
        _sock_ops("sock_ops-multi", "Linux 5.10", CgroupAttach(AttachType.CGROUP_SOCK_OPS)),
        Rung(
            "btf-tracepoint",
            "Linux 5.12, BTF, CAP_BPF, CAP_PERFMON",
            _open("tcp_probe"),
            source=_TYPED,
            types=_TYPES,
            programs=(
                Program("received", BtfTracepoint("tcp_probe")),
                Program("closed", BtfTracepoint("inet_sock_set_state")),
                open_sockets.PROGRAM,
            ),
        ),
        Rung(
            "tracepoint",
            "Linux 4.16, tracefs, CAP_BPF, CAP_PERFMON",
            _open("tcp_probe"),
            source=_TRACEFS,
            types=_TYPES,
            programs=(
                Program("received", Tracepoint("tcp", "tcp_probe")),
                Program("closed", Tracepoint("sock", "inet_sock_set_state")),
                open_sockets.PROGRAM,
            ),
        ),
        Rung("sock_diag", "nothing; other users' processes take root", _open("sock_diag")),
    ),
    order=80,
    rows_go=True,
    reads_with=privilege.PROCESSES,
)
