"""Protocols: what an interface's packets are, from EtherType to DNS and QUIC, in both directions.

At high rates only a random part of the packets is examined; `factor` then says one of how many, and
packets and bytes are estimates: the number examined times the factor at that time.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from probes.kernel.procfs import protocol_counters
from probes.model import Flat
from probes.toolkit import (
    CONTAINER,
    NETNS,
    Hook,
    Opening,
    PacketSocket,
    Program,
    Reading,
    Row,
    Rung,
    TargetKind,
    TcxLink,
    Unit,
    byte_count,
    c_source,
    ethertype_name,
    given,
    interface_name,
    ip_protocol,
    key,
    level,
    packet_count,
    packets_c,
    row_from,
)
from probes.toolkit.decode import named
from probes.toolkit.readers import target_in

MOST_LOOKED_AT = 50_000
"""Packets a second that are examined at the most; above it, a random part of them is."""
MOST_FACTOR = 1024
APPLICATIONS = ("-", "dns", "quic")

_COUNT = c_source(__file__, "count.c")
_AT_SOCKET = (
    packets_c.OF_SKB
    + _COUNT
    + """
int protocols(struct __sk_buff *ctx) {
    look(ctx, ctx->pkt_type == 4);
    return 0;
}
"""
)
_AT_TC = (
    packets_c.OF_SKB
    + _COUNT
    + """
int protocols_in(struct __sk_buff *ctx) { look(ctx, 0); return -1; }
int protocols_out(struct __sk_buff *ctx) { look(ctx, 1); return -1; }
"""
)


def factor_for(rate: float) -> int:
    """Return the power of two that brings this many packets a second below MOST_LOOKED_AT."""
    factor = 1
    while rate / factor > MOST_LOOKED_AT and factor < MOST_FACTOR:
        factor *= 2
    return factor


def _open(opening: Opening) -> Callable[[], Reading]:
    totals, factors, rows = (opening.tables[name] for name in ("totals", "factors", "rows"))
    mine = target_in(opening, "totals", "factors")
    factors.update((opening.ifindex,), (1,))
    before, factor = (monotonic(), 0), 1

    def read() -> Reading:
        nonlocal before, factor
        total = totals.row((opening.ifindex,))
        now = (monotonic(), int(total[1]) if total else 0)
        name = interface_name(opening.ifindex)
        found = [_row(opening, name, entry, factor) for entry in mine(rows.rows())]
        if now[0] > before[0]:
            wanted = factor_for((now[1] - before[1]) / (now[0] - before[0]))
            if wanted != factor:
                factors.update((opening.ifindex,), (wanted,))
                factor = wanted
        before = now
        return Reading(found, int(total[2]) if total else 0)

    return read


def _row(opening: Opening, interface: str, entry: Flat, factor: int) -> Row:
    _, link, protocol, application, outward, *counts = entry
    known = {
        "interface": interface,
        "direction": "out" if outward else "in",
        "link": ethertype_name(link),
        "protocol": ip_protocol(protocol) if protocol else "-",
        "application": named(APPLICATIONS, application),
        "factor": factor,
        **dict(zip(("packets", "bytes", "looked_at"), counts, strict=True)),
    }
    return row_from(opening.hook.stored, known)


def _from_proc(opening: Opening) -> Callable[[], Reading]:
    """Read the counters of the IP layer, counted from the moment of opening."""
    start = protocol_counters()

    def read() -> Reading:
        interface_name(opening.ifindex)  # it may have gone
        now = protocol_counters()
        return Reading(
            row_from(
                opening.hook.stored,
                {
                    "interface": "all",
                    "direction": direction,
                    "link": link,
                    "protocol": protocol,
                    "application": "-",
                    "packets": count - start.get((direction, link, protocol), 0),
                },
            )
            for (direction, link, protocol), count in now.items()
        )

    return read


HOOK = Hook(
    name="protocols",
    title="Protocols",
    question="Which protocols an interface's packets belong to, how many there are, and how large.",
    columns=given(
        level("interface", "Interface", "all: the whole network namespace", width=15),
        key("direction", "Way", "in, or out", width=4),
        key("link", "Link", "EtherType, behind any VLAN tags"),
        key("protocol", "Proto", "protocol above IP; all: any protocol"),
        key(
            "application",
            "App",
            "dns: port 53; quic: UDP port 443 and the header's fixed bit",
            width=6,
        ),
        packet_count(
            "packets", "Packets", "packets on the wire; an estimate where only a part was examined"
        ),
        byte_count(
            "bytes", "Bytes", "size of these packets; an estimate where only a part was examined"
        ),
        packet_count("looked_at", "Looked at", "packets examined"),
        level("factor", "1 of", "one of this many packets is examined now", Unit.COUNT),
        CONTAINER,
        NETNS,
    ),
    ladder=(
        Rung(
            "packet-socket",
            "Linux 5.1, CAP_BPF, CAP_NET_RAW; before 6.9 CAP_PERFMON",
            _open,
            source=_AT_SOCKET,
            programs=(Program("protocols", PacketSocket()),),
        ),
        Rung(
            "tcx",
            "Linux 6.6, CAP_BPF, CAP_NET_ADMIN",
            _open,
            source=_AT_TC,
            programs=(
                Program("protocols_in", TcxLink("ingress")),
                Program("protocols_out", TcxLink("egress")),
            ),
        ),
        Rung(
            "proc",
            "nothing",
            _from_proc,
            misses=(
                "counts the whole network namespace, without bytes; 'all' includes the other rows"
            ),
        ),
    ),
    order=62,
    on_demand=True,
    target=TargetKind.INTERFACE,
)
