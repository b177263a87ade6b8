"""Connections that are always slow, while another process is fast to the same peer."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from probes.analysis.anomaly import Verdict
from probes.analysis.cases.detectors.trips.connections import HOOK, LEXICON
from probes.analysis.cases.detectors.trips.slow import (
    DELAYED_US,
    FAR,
    LEAST_US,
    BesideTrip,
    SlowTrip,
    are_fresh,
    is_fresh,
)
from probes.analysis.facts import Facts
from probes.analysis.many import many_of, numbers_in
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.model import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 64
"""Connections that are compared, and those that they are compared with."""


def slow_beside(facts: Facts, known: Container[int]) -> Iterator[SlowTrip]:
    """Yield connections that are slow by themselves: then it is not the path.

    By more than a peer may delay an acknowledgement. known: places of those that are told anyway.
    """
    rows = many_of(facts, HOOK)
    found = _of_few(facts) if rows is None else _of_many(rows)
    for place, row, now, quick, others in found:
        by = {comm: least for comm, least in others.items() if comm != row["comm"]}
        comm = min(by, key=by.__getitem__, default=None)
        if comm is None or place in known or now - by[comm] < DELAYED_US:
            continue
        beside = BesideTrip(str(comm), by[comm])
        yield SlowTrip(place, row, now, row.number("min_us"), Verdict(), FAR, quick + 1, beside)


class _SlowBeside(NamedTuple):
    """A slow connection. quick: connections to its peer that are not, and the least by process."""

    place: int
    row: SnapshotRow
    now: float
    quick: int
    least: Mapping[Value, float]


def _of_few(facts: Facts) -> Iterator[_SlowBeside]:
    rows = facts.rows(HOOK)
    now = numbers_in(rows, "srtt_us")
    slow = [n for n, us in enumerate(now) if us >= DELAYED_US and is_fresh(facts, rows[n])]
    if not slow:
        return
    quick = [n for n, us in enumerate(now) if 0 < us < LEAST_US]
    for n in slow[:MOST]:
        same = [q for q in quick if rows[q]["raddr"] == rows[n]["raddr"]]
        least = _least([(rows[q]["comm"], now[q]) for q in same])
        yield _SlowBeside(n, rows[n], now[n], len(same), least)


def _of_many(rows: ManyRows) -> Iterator[_SlowBeside]:
    now = rows.numbers("srtt_us")
    slow, quick = now >= DELAYED_US, (now > 0) & (now < LEAST_US)
    if not (slow.any() and quick.any()):
        return
    words = LEXICON.column("raddr", rows.cells("raddr"))
    peers: NDArray[np.intp] = words.places
    quick_at = np.bincount(peers[quick], minlength=len(words.texts)) > 0
    slow &= quick_at[peers] & are_fresh(rows)
    for n in np.flatnonzero(slow)[:MOST].tolist():
        same = np.flatnonzero(quick & (peers == peers[n]))[:MOST].tolist()
        least = _least([(rows[q]["comm"], float(now[q])) for q in same])
        yield _SlowBeside(n, rows[n], float(now[n]), len(same), least)


def _least(trips: list[tuple[Value, float]]) -> Mapping[Value, float]:
    found: dict[Value, float] = {}
    for comm, us in trips:
        found[comm] = min(found.get(comm, us), us)
    return found
