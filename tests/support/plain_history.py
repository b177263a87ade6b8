"""The history of figures row by row, as plainly as can be: what `History` is held to."""

from __future__ import annotations

import math
from array import array
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from probes.analysis import known_rows
from probes.analysis.anomaly import (
    AGAIN,
    CALM,
    ENOUGH,
    HOLD,
    LENGTH,
    WINDOW,
    Threshold,
    Verdict,
    unusual,
    usual,
)
from probes.analysis.history import Figure, Ticks
from probes.analysis.snapshot import Snapshot
from probes.model import HookId

_SPARE = _SWEEP = 16
_EPISODES = 16
_MOST_NAMES = 4096


class Episode(NamedTuple):
    """An anomaly's time, in ticks. end: the first tick after it; None: it goes on.

    usual: the value before, None: unknown. wall: when it began. new: the row appeared with it.
    """

    begin: int
    end: int | None
    usual: float | None
    wall: float
    new: bool


class Series:
    """A row's values, tick by tick, and the times in which they were unusual.

    Ticks are numbers that grow by one; ticks without a value may be left out. begun: the tick since
    which such rows are watched without a break.
    """

    __slots__ = ("_asked", "_episodes", "_first", "_known", "_quiet", "_values", "came", "place")

    def __init__(self, first: int) -> None:
        self._first = self.came = first
        self.place = 0  # of its row, when it was there last
        self._values = array("f")  # not a number: not known
        self._episodes: list[Episode] = []
        self._known: float | None = None
        self._asked = -AGAIN
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
            values.extend([math.nan] * missing)
        values.append(math.nan if value is None else value)
        while len(values) > LENGTH + _SPARE:
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
        if tick - self._asked >= AGAIN or self._known is None:
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
        step = (sum(map(len, calm)) + absent) // ENOUGH + 1
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


class PlainHistory:
    """The last `LENGTH` values of each figure's rows; rows that go are forgotten in time."""

    LENGTH = LENGTH

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures: dict[str, list[Figure]] = {}
        for figure in {f.name: f for f in figures}.values():  # a figure may be in several panes
            self._figures.setdefault(figure.hook, []).append(figure)
        self._kept: dict[tuple[str, str], dict[Hashable, Series]] = {}
        self._unusual: dict[str, set[Hashable]] = {}
        self._watches: dict[str, Ticks] = {}
        self._named: dict[str, Hashable] = {}

    @property
    def ticks(self) -> dict[str, int]:
        """How many ticks of each hook there were."""
        return {hook: watch.ticks for hook, watch in self._watches.items()}

    def until(self, time: float) -> dict[str, int]:
        """Return how many there had been at that moment, in that host's monotonic seconds."""
        return {hook: watch.until(time) for hook, watch in self._watches.items()}

    def add(self, hook: str, snapshots: Sequence[Snapshot]) -> None:
        watch = self._watches.setdefault(hook, Ticks())
        wall, tick = watch.take(snapshots), watch.ticks
        self._part(hook, snapshots)
        for figure in (*self._figures.get(hook, ()), *self._figures.get("*", ())):
            kept = self._kept.setdefault((figure.name, hook), {})
            unusual, rule = self._unusual.setdefault(figure.name, set()), figure.rule
            for place, (key, value) in enumerate(figure.values(snapshots).items()):
                series = kept.get(key)
                if series is None:
                    series = kept[key] = Series(tick)
                series.place = place
                if series.take(tick, value, wall, rule, watch.begun):
                    unusual.add(key)
                elif key in unusual:
                    unusual.discard(key)
            if tick % _SWEEP == 0:
                _sweep(kept, tick)
                unusual.intersection_update(kept)

    def _part(self, hook: str, snapshots: Sequence[Snapshot]) -> None:
        """Forget figures by a name that means another thing now: an interface made again."""
        figures = [f for kept in self._figures.values() for f in kept if f.named_by == hook]
        if not figures:
            return
        named: dict[str, Hashable] = {str(r["interface"]): r.key for s in snapshots for r in s.rows}
        for name in named.keys() & self._named.keys():
            if named[name] != self._named[name]:
                for figure in figures:
                    self._kept.get((figure.name, figure.hook), {}).pop(name, None)
                    self._unusual.get(figure.name, set()).discard(name)
        self._named = {**self._named, **named} if len(self._named) < _MOST_NAMES else named

    def series(
        self,
        figure: Figure,
        key: Hashable,
        ticks: Mapping[str, int] | None = None,
        most: int = 2 * LENGTH,
    ) -> list[float | None]:
        """Return a row's latest values, newest last. ticks: as after so many readings."""
        series, until = self._find(figure, key, ticks)
        return series.values(until, most) if series is not None else []

    def unusual(self, figure: Figure) -> AbstractSet[Hashable]:
        """Return the keys of the rows that are unusual now."""
        return self._unusual.get(figure.name, frozenset())

    def verdict(
        self, figure: Figure, key: Hashable, ticks: Mapping[str, int] | None = None
    ) -> Verdict:
        """Return whether the row is unusual, and since when."""
        if ticks is None and key not in self._unusual.get(figure.name, ()):
            return CALM  # as nearly all are
        series, until = self._find(figure, key, ticks)
        return series.verdict(until) if series is not None else CALM

    def usual(
        self, figure: Figure, key: Hashable, ticks: Mapping[str, int] | None = None
    ) -> float | None:
        """Return the row's usual value, without anomalies; None if too little is known."""
        series, until = self._find(figure, key, ticks)
        if series is None:
            return None
        begun = self._watches[_hook(figure, key)].begun
        return series.usual(until, figure.rule or Threshold(0, absent=None), begun)

    def _find(
        self, figure: Figure, key: Hashable, ticks: Mapping[str, int] | None
    ) -> tuple[Series | None, int]:
        hook = _hook(figure, key)
        watch = self._watches.get(hook)
        now = watch.ticks if watch is not None else 0
        until = now if ticks is None else min(ticks.get(hook, 0), now)
        return self._kept.get((figure.name, hook), {}).get(key), until


def _hook(figure: Figure, key: Hashable) -> str:
    return key.hook if figure.hook == "*" and isinstance(key, HookId) else figure.hook


def _sweep(kept: dict[Hashable, Series], tick: int) -> None:
    """Forget rows that went long ago, and all but the latest `MAX_GONE` of the others that went."""
    gone = [key for key, series in kept.items() if series.last < tick]
    gone.sort(key=lambda k: (kept[k].last, kept[k].came, kept[k].place))
    for place, key in enumerate(gone, 1):
        if kept[key].last < tick - LENGTH or place <= len(gone) - known_rows.MAX_GONE:
            del kept[key]
