"""Programs that drop what rules say, and the ladder that they are attached by.

Everything they are attached by goes with the process. A rule ends at its deadline, even if nobody
is there to remove it.
"""

from __future__ import annotations

from collections.abc import Callable

from probes.attach.tcx import TcxLink
from probes.attach.xdp import XdpLink
from probes.drop_rule import MAX_RULES
from probes.errors import Unsupported
from probes.model import Column, Hook, Kind, Opening, Program, Reach, Reading, Rung, TargetKind
from probes.point import Point
from probes.toolkit import packets_c
from probes.toolkit.c_files import c_source
from probes.toolkit.interface_names import is_ethernet
from probes.units import Unit

MOST_PEERS = 1 << 16
"""Entries of spared connections, and of what carries them; a connection has two. They
take memory only once they are there."""
ENDS = 1
"""Index in the map `used`: whether there are entries other than connections."""
ANY_PROTOCOL = 0xFFFF

_DROP = c_source(
    __file__, "rules.c", MAX_RULES=MAX_RULES, MOST_PEERS=MOST_PEERS, ANY_PROTOCOL=ANY_PROTOCOL
)
_AT_XDP = f"""{packets_c.AT_XDP}{_DROP}
int rules_of(struct xdp_md *ctx) {{ return dropped(ctx) ? XDP_DROP : XDP_PASS; }}
"""
_AT_TC = f"""{packets_c.OF_SKB}{_DROP}
int rules_of(struct __sk_buff *ctx) {{ return dropped(ctx) ? 2 : -1; }}
"""
_XDP = "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN"
Opened = Callable[[Opening], Callable[[], Reading]]


def hook(open: Opened) -> Hook:
    """Return the ladder of one interface's rules. open: as a rung's, called once attached."""

    def ethernet(opening: Opening) -> Callable[[], Reading]:
        if not is_ethernet(opening.ifindex):
            raise Unsupported("this interface's packets have no Ethernet header")
        return open(opening)

    native = f"Linux 5.9, a driver with XDP, {_XDP}"
    return Hook(
        name="rules",
        title="Rules",
        question="Packets that drop rules have dropped.",
        columns=(
            Column("slot", "Slot", Unit.NUMBER, Kind.KEY, help="the rule's place"),
            Column("packets", "Packets", Unit.PACKETS, Kind.COUNTER, help="dropped"),
            Column("bytes", "Bytes", Unit.BYTES, Kind.COUNTER, help="of those packets"),
        ),
        ladder=(
            _rung("xdp-native", native, _AT_XDP, XdpLink("native"), ethernet),
            _rung("xdp-generic", f"Linux 5.9, {_XDP}", _AT_XDP, XdpLink("generic"), ethernet),
            _rung("tcx", "Linux 6.6, CAP_BPF, CAP_NET_ADMIN", _AT_TC, TcxLink("ingress"), open),
        ),
        target=TargetKind.INTERFACE,
        reach=Reach.DATA_PATH,
        on_demand=True,
    )


def _rung(name: str, least: str, source: str, point: Point, open: Opened) -> Rung:
    return Rung(name, least, open, source=source, programs=(Program("rules_of", point),))
