"""Drops: every packet the kernel frees as dropped, by interface, reason and place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from probes import btf, netlink, procfs, symbols, tracefs
from probes.errors import Gone, Unsupported
from probes.model import Column, Hook, Kind, Opening, Program, Reading, Row, Rung
from probes.points import BtfTracepoint, Point, RawTracepoint, Tracepoint
from probes.readers import interface_name
from probes.units import DASH, Unit

# trace_kfree_skb(skb, location, reason): the reason came with Linux 5.17. A received packet that
# is queued at a socket has no device any more, but remembers the number of the one it came by.
# `dev` shares its place with other things in some queues: only a kernel address is followed.
_CORE = """
struct where { u64 location; u32 reason; u32 ifindex; u32 netns; u32 unused; };
struct slot { u64 packets; };
BPF_TABLE("lru_percpu_hash", struct where, struct slot, rows, 4096);

static inline void count(u64 location, u32 reason, u32 ifindex, u32 netns) {
    struct where key = {.location = location, .reason = reason, .ifindex = ifindex, .netns = netns};
    struct slot one = {.packets = 1}, *slot = rows.lookup(&key);
    if (slot)
        slot->packets++;
    else
        rows.update(&key, &one);
}
"""
_TYPED = (
    _CORE
    + """
int dropped(u64 *ctx) {
    struct sk_buff *skb = ARG(ctx, 0, struct sk_buff *);
    struct net_device *dev = skb->dev;
    u32 ifindex = skb->skb_iif, netns = 0;
    if ((long)dev < 0) {
        ifindex = dev->ifindex;
        netns = dev->nd_net.net->ns.inum;
    }
    count(ctx[1], REASON, ifindex, netns);
    return 0;
}
"""
)
_READ = (
    _CORE
    + """
static inline void look(struct sk_buff *skb, u64 location, u32 reason) {
    struct net_device *dev = 0;
    struct net *net = 0;
    u32 ifindex = 0, netns = 0;
    bpf_probe_read_kernel(&dev, sizeof(dev), &skb->dev);
    bpf_probe_read_kernel(&ifindex, sizeof(ifindex), &skb->skb_iif);
    if ((long)dev < 0) {
        bpf_probe_read_kernel(&ifindex, sizeof(ifindex), &dev->ifindex);
        bpf_probe_read_kernel(&net, sizeof(net), &dev->nd_net.net);
        bpf_probe_read_kernel(&netns, sizeof(netns), &net->ns.inum);
    }
    count(location, reason, ifindex, netns);
}
"""
)
_RAW = (
    _READ
    + """
int dropped(u64 *ctx) {
    look(ARG(ctx, 0, struct sk_buff *), ctx[1], REASON);
    return 0;
}
"""
)
# Where the fields of the tracepoint stand is not the same on all kernels; BTF knows.
_TRACEFS = (
    _READ
    + """
int dropped(struct trace_event_raw_kfree_skb *ctx) {
    look((struct sk_buff *)ctx->skbaddr, (u64)ctx->location, REASON);
    return 0;
}
"""
)
_TYPES = ("sk_buff", "net_device", "net", "ns_common", "trace_event_raw_kfree_skb")
_REASON = ("skb", "kfree_skb", "reason")


def _reasons() -> Unsupported | None:
    """The refusal of a kernel that does not say why it drops; None also where nobody can tell."""
    told = tracefs.symbols(*_REASON) if not btf.available() else btf.enum("skb_drop_reason")
    if told is None or told:
        return None
    return Unsupported("reasons for drops came with Linux 5.17: this kernel gives none")


def reason_names() -> Mapping[int, str]:
    """Reasons by number from the kernel itself: other on every kernel, so never from a table."""
    prefix = "SKB_DROP_REASON_"
    if not btf.available():
        return tracefs.symbols(*_REASON) or {}
    names = {n: s.removeprefix(prefix) for n, s in btf.enum("skb_drop_reason").items()}
    subsystems = btf.enum("skb_drop_reason_subsys")
    for number, name in subsystems.items():
        if number:  # 0 is the core, whose names are known above
            names[number << 16] = name.removeprefix("SKB_DROP_REASON_SUBSYS_")
    return names


def reason_name(reason: int, names: Mapping[int, str]) -> str:
    """A reason's name, or its subsystem's and its number there."""
    if reason in names:
        return names[reason]
    subsystem = names.get(reason & 0xFFFF0000) if reason >> 16 else None
    return f"{subsystem} {reason & 0xFFFF}" if subsystem else f"reason {reason}"


def _open(*, reasons: bool) -> Callable[[Opening], Callable[[], Reading]]:
    def open(opening: Opening) -> Callable[[], Reading]:
        table = opening.tables["rows"]
        names = reason_names() if reasons else {}
        own = _netns()

        def read() -> Reading:
            found = table.rows()
            places = symbols.resolve({int(row[0]) for row in found})
            rows: dict[tuple[str, str, str], int] = {}
            for location, reason, ifindex, netns, _, packets in found:
                key = (
                    _interface(int(ifindex), int(netns), own),
                    reason_name(int(reason), names) if reasons else DASH,
                    places[int(location)],
                )
                rows[key] = rows.get(key, 0) + int(packets)
            return Reading([(*key, packets) for key, packets in rows.items()])

        return read

    return open


def _netns() -> int:
    """This network namespace's inode: interface numbers mean nothing outside of it."""
    return Path("/proc/thread-self/ns/net").stat().st_ino


def _interface(ifindex: int, netns: int, own: int) -> str:
    if not ifindex:
        return DASH
    if netns not in (0, own):
        return f"if{ifindex} (netns {netns})"
    try:
        return interface_name(ifindex)
    except Gone:
        return f"if{ifindex}"


def _counters(_: Opening) -> Callable[[], Reading]:
    """What netlink and procfs count: no place in the code, and reasons under nstat's names."""

    def read() -> Reading:
        rows: list[Row] = [(DASH, reason, "procfs", packets) for reason, packets in procfs.drops()]
        for link in netlink.links():
            rows.append((link.name, "rx_dropped", "netlink", link.rx_dropped))
            rows.append((link.name, "tx_dropped", "netlink", link.tx_dropped))
        return Reading([row for row in rows if row[3]])

    return read


def _rung(name: str, least: str, source: str, point: Point, *, reasons: bool = True) -> Rung:
    reason = {_TYPED: "(u32)ctx[2]", _RAW: "(u32)ctx[2]", _TRACEFS: "ctx->reason"}[source]
    return Rung(
        name,
        least,
        _open(reasons=reasons),
        source=source.replace("REASON", reason if reasons else "0"),
        types=_TYPES,
        programs=(Program("dropped", point),),
        requires=_reasons if reasons else None,
    )


_BTF, _TRACE = BtfTracepoint("kfree_skb"), Tracepoint("skb", "kfree_skb")
_LOADS = "CAP_BPF, CAP_PERFMON"

HOOK = Hook(
    name="drops",
    title="Drops",
    answers="Which packets the kernel itself drops: on which interface, why and where.",
    columns=(
        Column(
            "interface", "Interface", kind=Kind.KEY, width=15, help="where the packet was, or -"
        ),
        Column("reason", "Reason", kind=Kind.KEY, width=24, help="enum skb_drop_reason"),
        Column("location", "Location", kind=Kind.KEY, width=28, help="kernel symbol+offset"),
        Column("packets", "Packets", Unit.PACKETS, Kind.COUNTER, "packets", help="dropped"),
    ),
    ladder=(
        _rung("btf-tracepoint", f"Linux 5.17, BTF, {_LOADS}", _TYPED, _BTF),
        _rung("raw-tracepoint", f"Linux 5.17, {_LOADS}", _RAW, RawTracepoint("kfree_skb")),
        _rung("tracepoint", f"Linux 5.17, tracefs, {_LOADS}", _TRACEFS, _TRACE),
        _rung("btf-tracepoint-no-reason", f"Linux 5.5, BTF, {_LOADS}", _TYPED, _BTF, reasons=False),
        _rung(
            "tracepoint-no-reason", f"Linux 4.7, tracefs, {_LOADS}", _TRACEFS, _TRACE, reasons=False
        ),
        Rung("counters", "nothing", _counters, from_zero=False),
    ),
    order=50,
)
