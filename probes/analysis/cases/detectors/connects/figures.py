"""Histories of connects: what fails at each destination, and how long it takes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from probes.analysis.anomaly import Threshold
from probes.analysis.by_row import ByRow, SumBy
from probes.analysis.history import Figure
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.units import Unit

HOOK = "tcp-connect"
MOST_ROWS = 512
"""Rows that fail or hang whose destinations have a history of that."""


def _failing(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    """Return what fails or gets no answer a second, of destinations of which something does."""
    sums: dict[Hashable, list[float]] = {}
    for snapshot in snapshots:
        for row in _wrong(snapshot):
            begun = row.rate("connects") - row.rate("established")
            sum = sums.setdefault((row["raddr"], row["rport"]), [0.0, 0.0, 1.0])
            sum[0] += max(begun, row.rate("failed"), 0.0)
            sum[1] += row.number("late")
            sum[2] = max(sum[2], row.number("oldest_ns") / 1e9)
    return {place: max(rate, late / oldest) for place, (rate, late, oldest) in sums.items()}


def _wrong(snapshot: Snapshot) -> Iterable[SnapshotRow]:
    rows = snapshot.rows
    hangs = "late" in snapshot.hook.places.names
    if isinstance(rows, ManyRows):
        wrong = rows.per_s("failed") > 0
        if hangs:
            wrong |= rows.numbers("late") > 0
        return [rows[n] for n in np.flatnonzero(wrong)[:MOST_ROWS].tolist()]
    return [row for row in rows if row.rate("failed") or (hangs and row.stored["late"])]


FAILING = Figure("connect-failing", "failing/s", Unit.COUNT, HOOK, _failing, wrong=True)
"""Columns that a claim of a destination counts: failures, and attempts that wait in vain."""
BY_PLACE = Figure(
    "connect-place", "failed/s", Unit.COUNT, HOOK, SumBy(("raddr", "rport"), "failed"),
    wrong=True, rule=Threshold(0.05, alarm=0.05),
)  # fmt: skip
"""Failing connects of each destination: any is noted, with its start and the usual rate."""
SLOW = Figure(
    "connect-mean", "mean time", Unit.NS, HOOK, ByRow("mean_ns"),
    rule=Threshold(50e6, times=4, absent=None),
)  # fmt: skip
