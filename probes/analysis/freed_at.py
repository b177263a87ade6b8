"""What the kernel frees at each interface, by the stage of a packet's path. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from probes.analysis.drop_stages import ANYWHERE, RECEIVING, STAGES, UNTOLD
from probes.analysis.freed import DropKind, kind_of, kinds_of, place_of
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np

IN_RX_DROPPED = "rx_dropped"
"""Not a stage: what the core counts in the link's rx_dropped as well, lost or not."""
PLACES = (*STAGES, UNTOLD, RECEIVING, ANYWHERE, IN_RX_DROPPED)
"""Where packets may be freed."""
At = tuple[str, str]
"""An interface, and one of PLACES."""


def freed_at(rows: Sequence[SnapshotRow]) -> Mapping[At, float]:
    """Return the packets a second that are lost at each place where something is freed."""
    if isinstance(rows, ManyRows):
        return rows.once(_of_many)
    return _summed(
        (place_of(row.stored["interface"]), kind_of(row), row.rates.get("packets") or 0.0)
        for row in rows
    )


def _of_many(rows: ManyRows) -> Mapping[At, float]:
    group, kinds = rows.once(kinds_of)
    rates = np.bincount(group, rows.per_s("packets"), len(kinds)).tolist()
    return _summed(
        (place_of(one.interface), one.kind, rate) for one, rate in zip(kinds, rates, strict=True)
    )


def _summed(freed: Iterable[tuple[str, DropKind, float]]) -> Mapping[At, float]:
    sums: dict[At, float] = {}
    for interface, kind, rate in freed:
        if kind.lost:
            at = interface, kind.stage
            sums[at] = sums.get(at, 0.0) + rate
        if kind.in_rx_dropped and (kind.lost or kind.ordinary):
            at = interface, IN_RX_DROPPED
            sums[at] = sums.get(at, 0.0) + rate
    return sums
