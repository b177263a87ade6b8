"""Histories: the latest values of each pane's figures, row by row, in bounded memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from probes.analysis.anomaly import CALM, LENGTH, Series, Threshold, Verdict, Verdicts
from probes.analysis.heat import Heat
from probes.analysis.snapshot import Snapshot
from probes.model import HookId
from probes.units import Unit

MAX_GONE = 4000
"""Rows of a figure that are kept after they have gone, at most."""
_SWEEP = 64
_MOST_NAMES = 4096


@dataclass(frozen=True, slots=True)
class Figure:
    """A number whose history is kept for each row.

    values: a hook's snapshots -> key -> number. hook: its name, "*" for every hook. wrong: values
    other than 0 are bad. rule: when it is unusual. named_by: the hook that tells when a name means
    another thing.
    """

    name: str
    title: str
    unit: Unit
    hook: str
    values: Callable[[Sequence[Snapshot]], Mapping[Hashable, float | None]]
    wrong: bool = False
    rule: Threshold | None = None
    named_by: str = ""


class _Ticks:
    """A hook's ticks: their number, their times, and since which it is watched without a break."""

    def __init__(self) -> None:
        self.ticks, self.begun = 0, 1
        self.times = array("d")
        self._counting: frozenset[tuple[HookId, int]] = frozenset()

    def take(self, snapshots: Sequence[Snapshot]) -> float:
        """Add a tick; return its time in Unix seconds."""
        self.ticks += 1
        counting = frozenset((s.id, s.sample.epoch) for s in snapshots)
        if counting != self._counting:
            self._counting, self.begun = counting, self.ticks
        last = self.times[-1] if self.times else 0.0
        newest = max((s.sample for s in snapshots), key=lambda s: s.time, default=None)
        time, wall = (newest.time, newest.wall) if newest is not None else (last, 0.0)
        if time < last:  # that host has restarted
            self.times = array("d")
        self.times.append(time)
        if len(self.times) > LENGTH + _SWEEP:
            del self.times[:_SWEEP]
        return wall

    def until(self, time: float) -> int:
        """Return how many ticks there had been at that moment."""
        return self.ticks - len(self.times) + bisect_right(self.times, time)


class History:
    """The last `LENGTH` values of each figure's rows; rows that go are forgotten in time."""

    LENGTH = LENGTH

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures: dict[str, list[Figure]] = {}
        for figure in {f.name: f for f in figures}.values():  # a figure may be in several panes
            self._figures.setdefault(figure.hook, []).append(figure)
        self._kept: dict[tuple[str, str], dict[Hashable, Series]] = {}
        self._unusual: dict[str, set[Hashable]] = {}
        self._watches: dict[str, _Ticks] = {}
        self._named: dict[str, Hashable] = {}
        self.heat = Heat()

    @property
    def ticks(self) -> dict[str, int]:
        """How many ticks of each hook there were."""
        return {hook: watch.ticks for hook, watch in self._watches.items()}

    def until(self, time: float) -> dict[str, int]:
        """Return how many there had been at that moment, in that host's monotonic seconds."""
        return {hook: watch.until(time) for hook, watch in self._watches.items()}

    def add(self, hook: str, snapshots: Sequence[Snapshot]) -> None:
        watch = self._watches.setdefault(hook, _Ticks())
        wall, tick = watch.take(snapshots), watch.ticks
        self._part(hook, snapshots)
        self.heat.add(snapshots)
        for figure in (*self._figures.get(hook, ()), *self._figures.get("*", ())):
            kept = self._kept.setdefault((figure.name, hook), {})
            unusual, rule = self._unusual.setdefault(figure.name, set()), figure.rule
            for key, value in figure.values(snapshots).items():
                series = kept.get(key)
                if series is None:
                    series = kept[key] = Series(tick)
                if series.take(tick, value, wall, rule, watch.begun):
                    unusual.add(key)
                elif key in unusual:
                    unusual.discard(key)
            if tick % _SWEEP == 0:
                _sweep(kept, tick)
                unusual &= kept.keys()

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

    def verdicts(
        self, figure: Figure, snapshot: Snapshot, ticks: Mapping[str, int] | None = None
    ) -> Verdicts:
        """Return the verdict on each row of a snapshot, in their order, for a figure by row."""
        return Verdicts.of([self.verdict(figure, key, ticks) for key in snapshot.keys])

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
    gone = sorted((k for k, c in kept.items() if c.last < tick), key=lambda k: kept[k].last)
    for place, key in enumerate(gone, 1):
        if kept[key].last < tick - LENGTH or place <= len(gone) - MAX_GONE:
            del kept[key]
