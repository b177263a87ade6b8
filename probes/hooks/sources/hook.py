"""Sources: who sends how much to which port of one interface. Attached on request only.

Every packet goes on to the next program. Where the device or the kernel removed a VLAN tag before,
the tag is counted as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from probes.arrays import FEW
from probes.hooks.sources.senders import protocol_of, sender, sender_cells
from probes.model import Flat
from probes.point import Point
from probes.toolkit import (
    CONTAINER,
    NETNS,
    Clsact,
    Hook,
    Opening,
    PacketSocket,
    Program,
    Reach,
    Reading,
    Row,
    Rung,
    TargetKind,
    TcxLink,
    Unit,
    Unsupported,
    XdpLink,
    byte_count,
    c_source,
    given,
    interface_name,
    key,
    level,
    packet_count,
    packets_c,
)
from probes.toolkit.interface_names import is_ethernet
from probes.toolkit.others import Others
from probes.toolkit.readers import target_in

MAX_ROWS = 4096
"""Rows kept, of all interfaces together. The ones unseen for longest make room for new ones."""

_COUNT = c_source(__file__, "count.c", MAX_ROWS=MAX_ROWS)
_AT_XDP = (
    packets_c.AT_XDP
    + _COUNT
    + """
int sources(struct xdp_md *ctx) {
    count(ctx);
    return XDP_PASS;
}
"""
)
_AT_TC = (
    packets_c.OF_SKB
    + _COUNT
    + """
int sources(struct __sk_buff *ctx) {
    count(ctx);
    return -1;
}
"""
)
# It is shown what is sent as well, and that on the loopback twice. While it is open, packets of
# protocols that nobody handles are not among the kernel's drops, as with tcpdump: it handles them.
_AT_SOCKET = (
    packets_c.OF_SKB
    + _COUNT
    + """
int sources(struct __sk_buff *ctx) {
    if (ctx->pkt_type != 4)
        count(ctx);
    return 0;
}
"""
)


def _open(opening: Opening) -> Callable[[], Reading]:
    table, mine = opening.tables["rows"], target_in(opening, "totals")
    others = Others(opening, sums="totals", of=(opening.ifindex,), by_process=False)

    def read() -> Reading:
        others.before()
        entries, name = table.entries(), interface_name(opening.ifindex)
        if len(entries) <= FEW:
            return Reading(others.rows(mine(entries.rows()), lambda entry: _row(name, entry)))
        here = entries.where(entries["ifindex"] == opening.ifindex)
        return Reading(
            others.many(here, lambda entry: _row(name, entry), partial(sender_cells, name))
        )

    return read


def _open_ethernet(opening: Opening) -> Callable[[], Reading]:
    """Refuse interfaces without Ethernet headers: at XDP the program itself cannot tell."""
    if not is_ethernet(opening.ifindex):
        raise Unsupported("this interface's packets have no Ethernet header")
    return _open(opening)


def _row(interface: str, entry: Flat) -> Row:
    raw, _, protocol, port, family, ported, *_, packets_c, octets, fragments = entry
    return (
        interface,
        *_who(bytes(raw), int(family), int(protocol)),
        int(port) if ported else None,
        packets_c,
        octets,
        fragments,
        None,
        None,
    )


@lru_cache(MAX_ROWS)
def _who(raw: bytes, family: int, protocol: int) -> tuple[str, str]:
    """Return address and protocol in words."""
    return sender(raw, family), protocol_of(family, protocol)


def _rung(
    name: str, least: str, source: str, point: Point, *, lasting: bool = False, pinned: bool = False
) -> Rung:
    return Rung(
        name,
        least,
        _open_ethernet if pinned else _open,
        source=source,
        programs=(Program("sources", point),),
        lasting=lasting,
        reach=Reach.DATA_PATH if pinned else None,
    )


# Before 6.9 the verifier takes part of a number on the stack for a pointer's, where CAP_PERFMON is
# missing, and refuses it. (6.1 was seen to, 6.18 not.)
_SOCKET_LEAST = "Linux 5.1, CAP_BPF, CAP_NET_RAW; before 6.9 CAP_PERFMON"
# Without CAP_PERFMON the verifier lets no program subtract pointers: no length.
_XDP_LEAST = "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN; pinned only"

HOOK = Hook(
    name="sources",
    title="Sources",
    question="Who sends how many packets to which port of an interface.",
    columns=given(
        level("interface", "Interface", "interface that received the packets", width=15),
        key("saddr", "Source", "IP address; MAC address if not IP", width=26),
        key("protocol", "Proto", "IP protocol; EtherType if not IP", width=7),
        key(
            "dport",
            "Port",
            "destination port; none: a protocol without ports, or a later fragment",
            Unit.NUMBER,
            width=6,
        ),
        packet_count("packets", "Packets", "packets received"),
        byte_count("bytes", "Bytes", "size of these packets, headers included"),
        packet_count(
            "fragments",
            "Fragments",
            "packets that are fragments; only the first fragment has a port",
        ),
        CONTAINER,
        NETNS,
    ),
    ladder=(
        _rung("tcx", "Linux 6.6, CAP_BPF, CAP_NET_ADMIN", _AT_TC, TcxLink("ingress")),
        _rung("packet-socket", _SOCKET_LEAST, _AT_SOCKET, PacketSocket()),
        _rung(
            "clsact",
            "Linux 5.1, CAP_BPF, CAP_NET_ADMIN",
            _AT_TC,
            Clsact("ingress"),
            lasting=True,
        ),
        _rung(
            "xdp-native",
            f"Linux 5.9, a driver with XDP, {_XDP_LEAST}",
            _AT_XDP,
            XdpLink("native"),
            pinned=True,
        ),
        _rung("xdp-generic", f"Linux 5.9, {_XDP_LEAST}", _AT_XDP, XdpLink("generic"), pinned=True),
    ),
    order=60,
    on_demand=True,
    target=TargetKind.INTERFACE,
)
