"""Drops: every packet the kernel frees as dropped, by interface, reason and place."""

from probes.model import Column, Hook, Kind
from probes.units import Unit

HOOK = Hook(
    name="drops",
    title="Drops",
    answers="Which packets the kernel itself drops: on which interface, why and where.",
    columns=(
        Column(
            "interface", "Interface", kind=Kind.KEY, width=15, help="where the packet was, or '-'"
        ),
        Column("reason", "Reason", kind=Kind.KEY, width=24, help="enum skb_drop_reason, from BTF"),
        Column("location", "Location", kind=Kind.KEY, width=28, help="kernel symbol+offset"),
        Column("packets", "Packets", Unit.PACKETS, Kind.COUNTER, help="packets dropped"),
    ),
    ladder=(),
    order=50,
)
