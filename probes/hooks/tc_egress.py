"""TC egress: packets and bytes at one interface's egress, every packet let on to the next."""

from probes.model import Column, Hook, Kind, TargetKind
from probes.units import Unit

COLUMNS = (
    Column("ifindex", "Index", Unit.NUMBER, Kind.KEY, width=5, help="number; stays when renamed"),
    Column("interface", "Interface", width=15, help="the interface's name"),
    Column("packets", "Packets", Unit.PACKETS, Kind.COUNTER, help="packets seen at TC"),
    Column("bytes", "Bytes", Unit.BYTES, Kind.COUNTER, help="bytes of those packets"),
    Column("dropped", "Dropped", Unit.PACKETS, Kind.COUNTER, help="dropped by the qdisc (netlink)"),
)
HOOK = Hook(
    name="tc-egress",
    title="TC egress",
    answers="How many packets and bytes pass TC egress, and what the qdisc drops.",
    columns=COLUMNS,
    ladder=(),
    order=40,
    target=TargetKind.INTERFACE,
)
