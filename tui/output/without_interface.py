"""Lost packets without an interface, so in no interface's funnel: known by counters only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from probes.analysis.classes import is_lost
from probes.analysis.netns_names import named
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.units import DASH, count, printable

MAX_LINES = 10


def lines(snapshots: Sequence[Snapshot]) -> list[str]:
    """Return a line for each, most first: how many, why, at which port and whose it is."""
    found = sorted(_rows(snapshots), key=lambda row: -_packets(row))
    return [
        f"  {_where(row):<15}  {'no interface':<15}  {count(_packets(row)):>14}  {_why(row)}"
        for row in found[:MAX_LINES]
    ]


def _rows(snapshots: Sequence[Snapshot]) -> Iterator[SnapshotRow]:
    """Yield rows with losses since the start; counter-only rungs have counted since boot."""
    for snapshot in snapshots:
        if snapshot.id.hook == "drops" and snapshot.sample.from_zero:
            yield from (row for row in snapshot.rows if _is_counter(row) and _packets(row))


def _is_counter(row: SnapshotRow) -> bool:
    values = row.values
    counted = values["interface"] == DASH and "+" not in str(values["location"])
    return counted and is_lost(values)


def _packets(row: SnapshotRow) -> int:
    value = row["packets"]
    return value if isinstance(value, int) else 0


def _where(row: SnapshotRow) -> str:
    if row["netns"] is None:
        return DASH
    name = row.stored.get("netns_name")
    return named(str(name)) if name else f"netns {row['netns'] or '?'}"


def _why(row: SnapshotRow) -> str:
    port = f" at {row['protocol']} port {row['dport']}" if row["dport"] is not None else ""
    whose = f", {row['comm']} ({row['pid']})" if row["pid"] is not None else ""
    return printable(f"{row['reason']}{port}{whose}")
