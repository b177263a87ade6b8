"""Which connections are slow: far above their own minimum, or above what is usual.

An acknowledgement that the peer delays makes a round trip longer: by 40 ms where it runs Linux, by
up to 200 ms elsewhere. That is no slow path, however often it is a connection's minimum.
"""

from __future__ import annotations

from collections import Counter
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from probes.analysis.anomaly import ManyVerdicts, Threshold, Verdict
from probes.analysis.by_row import ByRow
from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.detectors.trips.connections import HOOK, LEXICON, LOOKED_AT
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.many import many_of, near, numbers_in, verdicts
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_US = 60_000
"""Round trips below it are not judged: on Linux, acknowledgements are delayed by 40 ms."""
DELAYED_US = 220_000
"""More than what any peer delays an acknowledgement by: so much more is a slow path."""
TIMES, TIMES_MINIMUM = 3.0, 5.0
"""How many times the usual, and the connection's own minimum, a slow round trip takes."""
TRIP = Figure(
    "rtt-srtt", "SRTT", Unit.US, HOOK, ByRow("srtt_us", zero=False),
    rule=Threshold(LEAST_US, times=TIMES, absent=None),
)  # fmt: skip
_CALM, _SLOW, FAR = 0, int(Gravity.NOTICE), int(Gravity.ALARM)
"""Marks of a connection."""


class BesideTrip(NamedTuple):
    """Another process's connection to the same peer: its name, and its round trip in us."""

    comm: str
    now: float


class SlowTrip(NamedTuple):
    """A slow connection. place: its row's. now, least: its round trip and its minimum, in us.

    verdict: on its round trip. mark: as in `Trips`. others: connections to its peer, with it.
    beside: the round trip of another process to the same peer, where only that tells it is slow.
    """

    place: int
    row: SnapshotRow
    now: float
    least: float
    verdict: Verdict
    mark: int
    others: int
    beside: BesideTrip | None = None

    @property
    def peer(self) -> str:
        return str(self.row["raddr"])

    @property
    def trips_per_s(self) -> float:
        """Round trips that somebody waits for, a second."""
        seen = self.row.rates.get("samples")
        if seen:
            return seen
        return min(self.row.rate("sent"), 1e6 / self.now)


def is_far(now: float, least: float) -> bool:
    """Return whether a round trip is far above the connection's minimum. Both in microseconds."""
    return least > 0 and now >= TIMES_MINIMUM * least and now >= LEAST_US


def slow_trips(facts: Facts) -> tuple[list[SlowTrip], list[int] | NDArray[np.uint8]]:
    """Return the slow connections, the slowest first, and a mark for each connection."""
    rows = many_of(facts, HOOK)
    return _slow_of_few(facts) if rows is None else _slow_of_many(facts, rows)


def _slow_of_few(facts: Facts) -> tuple[list[SlowTrip], list[int]]:
    rows = facts.rows(HOOK)
    now, least = numbers_in(rows, "srtt_us"), numbers_in(rows, "min_us")
    marks, found = [_CALM] * len(rows), list[tuple[int, Verdict]]()
    unusual = near(facts, TRIP)
    for place, us in enumerate(now):
        if us < LEAST_US:
            continue
        row = rows[place]
        verdict = facts.verdict(TRIP, row.key) if row.key in unusual else Verdict()
        mark = _mark(us, least[place], verdict)
        if mark and is_fresh(facts, row):
            marks[place] = mark
            found.append((place, verdict))
    if not found:
        return [], marks
    to = Counter([row["raddr"] for row, us in zip(rows, now, strict=True) if us])
    slowest = nlargest(LOOKED_AT, found, key=lambda one: now[one[0]])
    slow = [
        SlowTrip(n, rows[n], now[n], least[n], verdict, marks[n], to[rows[n]["raddr"]])
        for n, verdict in slowest
    ]
    return slow, marks


def _slow_of_many(facts: Facts, rows: ManyRows) -> tuple[list[SlowTrip], NDArray[np.uint8]]:
    now, least = rows.numbers("srtt_us"), rows.numbers("min_us")
    marks = np.zeros(len(rows), "u1")
    high = now >= LEAST_US
    if not high.any():
        return [], marks
    said = verdicts(facts, TRIP, HOOK)
    marks[:] = _marks(now, least, said) * (high & are_fresh(rows))
    places = np.flatnonzero(marks)
    if not len(places):
        return [], marks
    words = LEXICON.column("raddr", rows.cells("raddr"))
    to = np.bincount(words.places[now > 0], minlength=len(words.texts))
    slowest = places[np.argsort(-now[places], kind="stable")][:LOOKED_AT].tolist()
    slow = [
        SlowTrip(
            n, rows[n], float(now[n]), float(least[n]), said.at(n), int(marks[n]),
            int(to[words.places[n]]),
        )
        for n in slowest
    ]  # fmt: skip
    return slow, marks


def _mark(now: float, least: float, verdict: Verdict) -> int:
    """Return how grave one round trip is, if the connection is used."""
    usual = verdict.usual if verdict.since is not None else None
    if not is_far(now, least) and (usual is None or now < TIMES * usual):
        return _CALM
    base = min([us for us in (least, usual) if us], default=0)
    return FAR if now - base >= DELAYED_US else _SLOW


def _marks(
    now: NDArray[np.float64], least: NDArray[np.float64], said: ManyVerdicts
) -> NDArray[np.uint8]:
    """Return the same of many."""
    far = (least > 0) & (now >= TIMES_MINIMUM * least)
    usual = np.where(said.unusual & (said.usual > 0), said.usual, np.inf)
    slow = far | (now >= TIMES * usual) | (said.unusual & (said.usual == 0))
    base = np.minimum(np.where(least > 0, least, np.inf), usual)
    grave = now - np.where(np.isinf(base), 0, base) >= DELAYED_US
    marks: NDArray[np.uint8] = slow.astype("u1") + (slow & grave).astype("u1")
    return marks


def is_fresh(facts: Facts, row: SnapshotRow) -> bool:
    """Return whether the estimate is of the last seconds: a silent connection keeps its own."""
    if row.rate("samples") or row.rate("sent") or row["p50_us"] is not None:
        return True
    if any(rate is not None for rate in row.rates.values()):
        return False
    before = facts.series(TRIP, row.key, 2)  # after a change of rungs there are no rates
    return len(before) == 2 and None not in before and before[0] != before[1]


def are_fresh(rows: ManyRows) -> NDArray[np.bool_]:
    """Return the same of many."""
    used = (rows.per_s("samples") > 0) | (rows.per_s("sent") > 0)
    medians = rows.derived("p50_us")
    return used if medians is None else used | medians.known
