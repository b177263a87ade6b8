"""The figures of interfaces, by name: bytes, packets, and what is lost of them by whom."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

from probes.analysis.anomaly import Threshold
from probes.analysis.by_row import ByRow, SumBy
from probes.analysis.droppers import by_interface
from probes.analysis.freed import freed
from probes.analysis.freed_at import PLACES, freed_at
from probes.analysis.history import Figure
from probes.analysis.snapshot import Snapshot
from probes.units import Unit

WARN, BAD = 10.0, 100.0
"""Dropped packets a second that are compared with the usual, and that are unusual at once."""
COUNTERS = ("rx_dropped", "tx_dropped", "rx_missed")
"""A link's counters of drops."""
_Values = Mapping[Hashable, float | None]


def sum_known(*rates: float | None) -> float | None:
    """Return the sum of those that are known; None if none is."""
    known = [r for r in rates if r is not None]
    return sum(known) if known else None


def _of_rows(column: str, snapshots: Sequence[Snapshot]) -> _Values:
    return {str(r["interface"]): r.rates[column] for s in snapshots for r in s.rows}


def _dropped(snapshots: Sequence[Snapshot]) -> _Values:
    sums: dict[Hashable, float | None] = {}
    for snapshot in snapshots:
        for name, found in freed(snapshot.rows)[0].items():
            sums[name] = (sums.get(name) or 0) + sum([d.rate for d in found if not d.layer])
    return sums


def _by_programs(snapshots: Sequence[Snapshot]) -> _Values:
    by = by_interface([r for s in snapshots for r in s.rows])
    return {
        name: sum_known(*(row.rates.get(verdict) for row in rows for verdict in _DROP))
        for name, rows in by.items()
    }


_DROP = ("drop", "aborted")


def _by_link(snapshots: Sequence[Snapshot]) -> _Values:
    return {
        str(r["interface"]): sum_known(*(r.rates[c] for c in COUNTERS))
        for s in snapshots
        for r in s.rows
    }


def _bytes(way: str) -> Figure:
    values: Callable[[Sequence[Snapshot]], _Values] = partial(_of_rows, f"{way}_bytes")
    name = f"interface-{way}"
    return Figure(name, way.upper(), Unit.BYTES, "interfaces", values, named_by="interfaces")


def _lost(
    name: str, title: str, hook: str, values: Callable[[Sequence[Snapshot]], _Values]
) -> Figure:
    return Figure(
        f"interface-{name}", title, Unit.PACKETS, hook, values, wrong=True, rule=RULE,
        named_by="interfaces",
    )  # fmt: skip


RULE = Threshold(WARN, alarm=BAD)
"""Threshold of lost packets."""
RECEIVED, SENT = _bytes("rx"), _bytes("tx")
KERNEL = _lost("drops", "kernel drops/s", "drops", _dropped)
XDP = _lost("xdp", "drops/s by XDP", "xdp-programs", _by_programs)
TC = _lost("tc", "drops/s by TC", "tc-programs", _by_programs)
LINK = _lost("link", "link drops/s", "interfaces", _by_link)
WATCHED = (KERNEL, XDP, LINK)
"""Figures by which an interface is judged."""


def _by_row(name: str, title: str, column: str, hook: str = "interfaces") -> Figure:
    values = ByRow(column, rate=True)
    return Figure(f"interface-{name}", title, Unit.PACKETS, hook, values)


PACKETS_IN = _by_row("packets", "in/s", "rx_packets")
MISSED = _by_row("missed", "missed/s", "rx_missed")
RX_DROPPED = _by_row("rx-dropped", "rx_dropped/s", "rx_dropped")
RX_ERRORS = _by_row("rx-errors", "rx_errors/s", "rx_errors")
TX_DROPPED = _by_row("tx-dropped", "tx_dropped/s", "tx_dropped")
TX_ERRORS = _by_row("tx-errors", "tx_errors/s", "tx_errors")
QUEUED = _by_row("queue-drops", "dropped/s by queues", "dropped", "qdiscs")
"""These by the row's key, the others by the interface's name."""


def _freed_at(snapshots: Sequence[Snapshot]) -> _Values:
    return {at: rate for s in snapshots for at, rate in freed_at(s.rows).items()}


def _by_part(
    name: str, hook: str, values: Callable[[Sequence[Snapshot]], _Values], *parts: str
) -> Figure:
    return Figure(
        f"interface-{name}", name, Unit.PACKETS, hook, values, named_by="interfaces", parts=parts,
        absent=0.0,
    )  # fmt: skip


FREED_AT = _by_part("freed", "drops", _freed_at, *PLACES)
TC_DROPS = _by_part(
    "tc-ways", "tc-programs", SumBy(("interface", "direction"), "drop"), "ingress", "egress"
)
ASTRAY = _by_part(
    "astray", "xdp-errors", SumBy(("interface", "answer"), "packets"), "tx", "redirect"
)
"""By the interface's name and a part: what is lost at its stages."""
STAGES = (RX_DROPPED, RX_ERRORS, TX_DROPPED, TX_ERRORS, QUEUED, FREED_AT, TC_DROPS, ASTRAY)
"""Figures that only the stages of the packet path need."""
