"""Which of a figure's rows are unusual, and since when: judged at each tick.

Few rows are judged one by one, and only those with a value that may be unusual; many at once.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from probes.analysis.anomaly import (
    AGAIN,
    CALM,
    ENOUGH,
    HOLD,
    WINDOW,
    ManyVerdicts,
    Threshold,
    Verdict,
    are_unusual,
    calm,
    unusual,
    usual,
)
from probes.analysis.episodes import Episodes
from probes.analysis.known_rows import KnownRows, ints
from probes.analysis.many_usual import many_usual
from probes.analysis.series import Series
from probes.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANY = Threshold(0, absent=None)
"""The threshold of figures that have none."""


class Judge:
    """The judgement on all rows of a figure, at each tick and as it was at an earlier one.

    opened: how many rows are unusual now.
    """

    def __init__(self, rows: KnownRows, series: Series, rule: Threshold) -> None:
        self._rule, self._rows, self._series = rule, rows, series
        self._least = min(rule.least, rule.alarm or math.inf)
        self._episodes = Episodes()
        # By slot: the usual value, not a number: unknown; when it was asked for; ticks of an
        # episode in which nothing was unusual; whether one goes on.
        self._known, self._asked = array("d"), array("i")
        self._quiet, self._open = array("i"), bytearray()
        self.opened = 0

    # -- a tick --------------------------------------------------------------------------------

    def take(self, values: list[float] | NDArray[np.float64], wall: float, begun: int) -> None:
        """Judge the values of the rows of the latest tick. wall: Unix seconds.

        begun: the tick since which such rows are watched without a break.
        """
        self._grow(self._rows.number)
        if self.opened:
            for slot, away in self._rows.back:
                self._quiet[slot] += away
        if isinstance(values, list):
            self._take_few(values, wall, begun)
        else:
            self._take_many(values, wall, begun)

    def _grow(self, number: int) -> None:
        more = number - len(self._open)
        if more > 0:
            self._known.extend(array("d", [math.nan]) * more)
            self._asked.extend(array("i", [-AGAIN]) * more)
            self._quiet.extend(array("i", [0]) * more)
            self._open.extend(bytes(more))
            self._episodes.grow(number)

    def _take_few(self, values: list[float], wall: float, begun: int) -> None:
        least, slots, is_open = self._least, self._rows.slots, self._open
        places = [place for place, value in enumerate(values) if value >= least]
        if self.opened:
            others = [place for place, slot in enumerate(slots) if is_open[slot]]
            places = sorted({*places, *others})
        for place in places:
            slot, value = slots[place], values[place]
            if is_open[slot]:
                self._go_on(slot, value)
            else:
                self._begin(slot, value, wall, begun)

    def _begin(self, slot: int, value: float, wall: float, begun: int) -> None:
        tick, known = self._rows.tick, self._known[slot]
        if tick - self._asked[slot] >= AGAIN or known != known:
            found = self.usual(slot, tick - 1, begun)
            self._known[slot] = known = math.nan if found is None else found
            self._asked[slot] = tick
        if unusual(value, None if known != known else known, self._rule):
            first = self._rows.first[slot]
            new = known == known and first > begun and tick - first < HOLD
            self._episodes.add(
                array("i", [slot]), tick, wall, array("d", [known]), array("b", [new])
            )
            self._quiet[slot], self._open[slot] = 0, True
            self.opened += 1

    def _go_on(self, slot: int, value: float) -> None:
        known = self._known[slot]
        over = unusual(value, None if known != known else known, self._rule)
        self._quiet[slot] = 0 if over else self._quiet[slot] + 1
        if self._quiet[slot] >= HOLD:
            self._episodes.end[self._episodes.latest[slot]] = self._rows.tick
            self._known[slot], self._open[slot] = math.nan, False
            self.opened -= 1

    def _take_many(self, values: NDArray[np.float64], wall: float, begun: int) -> None:
        slots, is_open = ints(self._rows.slots), None
        with np.errstate(invalid="ignore"):
            high = values >= self._least
        if self.opened:
            is_open = np.frombuffer(self._open, bool)[slots]
            high &= ~is_open
        if high.any():
            self._begin_many(slots[high], values[high], wall, begun)
        if is_open is not None:
            self._go_on_many(slots[is_open], values[is_open])

    def _begin_many(
        self, slots: NDArray[np.int32], values: NDArray[np.float64], wall: float, begun: int
    ) -> None:
        tick, known, asked = self._rows.tick, np.frombuffer(self._known), ints(self._asked)
        stale = slots[(tick - asked[slots] >= AGAIN) | np.isnan(known[slots])]
        if len(stale):
            known[stale] = many_usual(
                self._rows, self._series, self._episodes, stale, tick - 1, self._rule, begun
            )
            asked[stale] = tick
        begins = slots[are_unusual(values, known[slots], self._rule)]
        if len(begins):
            first = ints(self._rows.first)[begins]
            new = ~np.isnan(known[begins]) & (first > begun) & (tick - first < HOLD)
            self._open_all(begins, tick, wall, new)

    def _open_all(
        self, slots: NDArray[np.int32], tick: int, wall: float, new: NDArray[np.bool_]
    ) -> None:
        usual = array("d", np.frombuffer(self._known)[slots].tobytes())
        flags = array("b", new.tobytes())
        self._episodes.add(array("i", slots.tobytes()), tick, wall, usual, flags)
        ints(self._quiet)[slots] = 0
        np.frombuffer(self._open, "u1")[slots] = 1
        self.opened += len(slots)

    def _go_on_many(self, slots: NDArray[np.int32], values: NDArray[np.float64]) -> None:
        known, quiet = np.frombuffer(self._known), ints(self._quiet)
        over = are_unusual(values, known[slots], self._rule)
        quiet[slots] = np.where(over, 0, quiet[slots] + 1)
        ends = slots[quiet[slots] >= HOLD]
        if len(ends):
            ints(self._episodes.end)[ints(self._episodes.latest)[ends]] = self._rows.tick
            known[ends] = math.nan
            np.frombuffer(self._open, "u1")[ends] = 0
            self.opened -= len(ends)

    def forget(self, slots: Iterable[int]) -> None:
        """Forget rows, whose slots others will have."""
        self._grow(self._rows.number)
        for slot in slots:
            self.opened -= self._open[slot]
            self._known[slot], self._asked[slot] = math.nan, -AGAIN
            self._quiet[slot], self._open[slot] = 0, False
        self._episodes.forget(slots)

    def tidy(self) -> None:
        self._episodes.tidy()

    # -- asked for -----------------------------------------------------------------------------

    def unusual(self) -> Iterator[int]:
        """Return the slots of the rows that are unusual now."""
        slot = self._open.find(True)
        while slot >= 0:
            yield slot
            slot = self._open.find(True, slot + 1)

    def is_open(self, slot: int) -> bool:
        """Return whether a row is unusual now."""
        return slot < len(self._open) and bool(self._open[slot])

    def verdict(self, slot: int, until: int) -> Verdict:
        """Return the verdict as it was at a tick."""
        if slot >= len(self._open):
            return CALM
        for episode in self._episodes.of(slot):
            if episode.begin <= until:
                if episode.end and episode.end <= until:
                    return CALM
                usual = None if episode.usual != episode.usual else episode.usual
                now = self._greatest(slot, max(episode.begin, until - HOLD + 1), until)
                return Verdict(episode.wall, now, usual, episode.new)
        return CALM

    def _greatest(self, slot: int, since: int, until: int) -> float:
        first, last = self._series.span(slot)
        values = self._series.of(slot, max(since, first), min(until, last) + 1)
        return max((value for value in values if value == value), default=0.0)

    def verdicts(self, slots: Sequence[int], until: int) -> ManyVerdicts:
        """Return the verdicts on many rows as they were at a tick. -1: a row that is not known."""
        known = np.array(slots, "i4")
        known[known >= len(self._open)] = -1
        found = calm(len(known))
        places = self._episodes.at(known, until)
        some = np.flatnonzero(places >= 0)
        if len(some):
            begin, usual, wall, new = self._episodes.many(places[some])
            window = self._series.window(known[some], until - HOLD + 1, until + 1).astype("f8")
            early = np.arange(until - HOLD + 1, until + 1)[:, None] < begin
            window[early | np.isnan(window)] = -math.inf
            now = window.max(axis=0)
            found.since[some], found.usual[some], found.new[some] = wall, usual, new
            found.now[some] = np.where(now == -math.inf, 0.0, now)
        return found

    def usual(self, slot: int, until: int, begun: int) -> float | None:
        """Return the usual value up to a tick, without anomalies; None if too little is known."""
        self._grow(self._rows.number)
        since, rule = max(until - WINDOW + 1, 0), self._rule
        first, _ = self._series.span(slot)
        quiet = list(self._calm(slot, since, until))
        absent = max(min(first, until + 1) - max(begun, since), 0)
        if rule.absent is None:
            absent = 0
        # Every n-th value is enough, and is all that is looked at.
        step = (sum(map(len, quiet)) + absent) // ENOUGH + 1
        known = [v for values in quiet for v in values[::step] if v == v]
        if rule.absent is not None:
            known += [rule.absent] * -(-absent // step)
        return usual(known)

    def _calm(self, slot: int, since: int, until: int) -> Iterator[array[float]]:
        first, last = self._series.span(slot)
        for episode in reversed(list(self._episodes.of(slot))):
            end = min(episode.begin, until + 1, last + 1)
            yield self._series.of(slot, max(since, first), end)
            since = max(since, episode.end or until + 1)
        yield self._series.of(slot, max(since, first), min(until, last) + 1)
