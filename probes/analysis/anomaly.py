"""Anomalies: a row's number against its usual value, and since when. Pure.

The usual value is the median of the last minutes without those that were themselves unusual. So
an incident does not become normal by lasting: while it goes on, the usual value is the one from
before. With too few values nothing is called unusual; what is alarming by itself is marked, as
being so since the start.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from probes.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH = 1000
"""Values kept of a row: a quarter of an hour at one a second, and a bit more."""
WINDOW, LEARN, HOLD = 900, 15, 10
"""Values that the usual looks back; least that it needs; quiet ones that end an anomaly."""
_SPARE, _AGAIN, _ENOUGH, _EPISODES = 64, 15, 150, 16


class Threshold(NamedTuple):
    """When a number is unusual: from `least` on, and from so many `times` the usual.

    alarm: from where it is marked even without a history; None: never. absent: the value of an
    absent row; None: unknown.
    """

    least: float
    times: float = 3.0
    alarm: float | None = None
    absent: float | None = 0.0


class Episode(NamedTuple):
    """An anomaly's time, in ticks. end: the first tick after it; None: it goes on.

    usual: the value before, None: unknown. wall: when it began. new: the row appeared with it.
    """

    begin: int
    end: int | None
    usual: float | None
    wall: float
    new: bool


class Verdict(NamedTuple):
    """The verdict on a row. since: Unix seconds; None: nothing is unusual.

    now: the greatest of the last `HOLD` values. usual: the value before, None: unknown. new: the
    row was not there before.
    """

    since: float | None = None
    now: float = 0.0
    usual: float | None = None
    new: bool = False

    @property
    def times(self) -> float:
        """How many times the usual; infinite if that is 0 or unknown."""
        return self.now / self.usual if self.usual else math.inf


CALM = Verdict()


class Verdicts(NamedTuple):
    """The verdicts on many rows. since, usual: not a number: nothing is unusual; unknown."""

    since: NDArray[np.float64]
    now: NDArray[np.float64]
    usual: NDArray[np.float64]
    new: NDArray[np.bool_]

    @property
    def unusual(self) -> NDArray[np.bool_]:
        """Which rows are unusual."""
        return ~np.isnan(self.since)

    @property
    def times(self) -> NDArray[np.float64]:
        """How many times the usual each is; infinite if that is 0 or unknown."""
        known = self.usual > 0
        return np.where(known, self.now / np.where(known, self.usual, 1.0), math.inf)

    def at(self, place: int) -> Verdict:
        """Return the verdict on one row."""
        if self.since[place] != self.since[place]:
            return CALM
        usual = float(self.usual[place])
        before = None if usual != usual else usual
        return Verdict(
            float(self.since[place]), float(self.now[place]), before, bool(self.new[place])
        )

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> Verdicts:
        since = np.array([v.since for v in verdicts], "f8")
        now, usual = np.array([v.now for v in verdicts], "f8"), [v.usual for v in verdicts]
        return cls(since, now, np.array(usual, "f8"), np.array([v.new for v in verdicts], bool))


def usual(values: Sequence[float]) -> float | None:
    """Return the usual among values of calm times; None if there are too few."""
    if len(values) < LEARN:
        return None
    return median(values[:: len(values) // _ENOUGH + 1])


def unusual(value: float, before: float | None, rule: Threshold) -> bool:
    """Return whether a value is unusual, given the usual one (None: unknown)."""
    if before is None:
        return rule.alarm is not None and value >= rule.alarm
    return value >= rule.least and value >= rule.times * before


class Series:
    """A row's values, tick by tick, and the times in which they were unusual.

    Ticks are numbers that grow by one; ticks without a value may be left out. begun: the tick since
    which such rows are watched without a break.
    """

    __slots__ = ("_asked", "_episodes", "_first", "_known", "_quiet", "_values")

    def __init__(self, first: int) -> None:
        self._first = first
        self._values = array("f")  # not a number: not known
        self._episodes: list[Episode] = []
        self._known: float | None = None
        self._asked = -_AGAIN
        self._quiet = 0

    @property
    def last(self) -> int:
        """The tick of the latest value."""
        return self._first + len(self._values) - 1

    def take(
        self, tick: int, value: float | None, wall: float, rule: Threshold | None, begun: int
    ) -> bool:
        """Add another tick's value; return whether it is unusual now. wall: Unix seconds."""
        values, episodes = self._values, self._episodes
        missing = tick - self._first - len(values)
        if missing > 0:
            values.extend([math.nan] * min(missing, LENGTH))
            self._first = max(self._first, tick - LENGTH)
        values.append(math.nan if value is None else value)
        if len(values) > LENGTH + _SPARE:
            del values[:_SPARE]
            self._first += _SPARE
        if rule is None:
            return False
        if episodes and episodes[-1].end is None:
            self._go_on(tick, value, missing, rule)
        elif value is not None and (value >= rule.least or value >= (rule.alarm or math.inf)):
            self._begin(tick, value, wall, rule, begun)
        else:
            return False  # as nearly all are
        return bool(self._episodes) and self._episodes[-1].end is None

    def _begin(self, tick: int, value: float, wall: float, rule: Threshold, begun: int) -> None:
        if tick - self._asked >= _AGAIN or self._known is None:
            self._known, self._asked = self.usual(tick - 1, rule, begun), tick
        if unusual(value, self._known, rule):
            new = self._known is not None and self._first > begun and tick - self._first < HOLD
            self._episodes = [
                *self._episodes[1 - _EPISODES :],
                Episode(tick, None, self._known, wall, new),
            ]
            self._quiet = 0

    def _go_on(self, tick: int, value: float | None, missing: int, rule: Threshold) -> None:
        episode = self._episodes[-1]
        over = value is not None and unusual(value, episode.usual, rule)
        self._quiet = 0 if over else self._quiet + missing + 1
        if self._quiet >= HOLD:
            self._episodes[-1] = episode._replace(end=tick)
            self._known = None

    def values(self, until: int, most: int = 2 * LENGTH) -> list[float | None]:
        """Return at most `most` values up to a tick, newest last.

        Values of ticks after the latest are None.
        """
        end = max(until - self._first + 1, 0)
        kept = self._values[max(end - most, 0) : end]
        found: list[float | None] = [None if v != v else v for v in kept]
        return (found + [None] * min(until - self.last, LENGTH))[-most:]

    def verdict(self, until: int) -> Verdict:
        """Return the verdict as it was at a tick."""
        for episode in reversed(self._episodes):
            if episode.begin <= until:
                if episode.end is not None and episode.end <= until:
                    return CALM
                since = max(episode.begin, until - HOLD + 1)
                now = max((v for v in self._between(since, until + 1) if v == v), default=0.0)
                return Verdict(episode.wall, now, episode.usual, episode.new)
        return CALM

    def usual(self, until: int, rule: Threshold, begun: int) -> float | None:
        """Return the usual value up to a tick, without anomalies; None if too little is known."""
        since = max(until - WINDOW + 1, 0)
        calm = list(self._calm(since, until))
        absent = max(min(self._first, until + 1) - max(begun, since), 0)
        if rule.absent is None:
            absent = 0
        # Every n-th value is enough, and is all that is looked at.
        step = (sum(map(len, calm)) + absent) // _ENOUGH + 1
        known = [v for values in calm for v in values[::step] if v == v]
        if rule.absent is not None:
            known += [rule.absent] * -(-absent // step)
        return usual(known)

    def _calm(self, since: int, until: int) -> Iterator[array[float]]:
        for episode in self._episodes:
            yield self._between(since, min(episode.begin, until + 1))
            since = max(since, until + 1 if episode.end is None else episode.end)
        yield self._between(since, until + 1)

    def _between(self, begin: int, end: int) -> array[float]:
        """Return the values of ticks from `begin` to before `end`."""
        return self._values[max(begin - self._first, 0) : max(end - self._first, 0)]
