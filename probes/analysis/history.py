"""Histories: the latest values of each pane's figures, row by row, in bounded memory."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from probes.analysis.anomaly import CALM, LENGTH, ManyVerdicts, Threshold, Verdict, calm
from probes.analysis.by_row import ByRow, Numbers, SumBy, in_array, keys_of, plain
from probes.analysis.coarse import SECONDS
from probes.analysis.heat import Heat
from probes.analysis.judge import ANY, Judge
from probes.analysis.known_rows import Keys, KnownRows
from probes.analysis.series import Series
from probes.analysis.snapshot import Snapshot
from probes.analysis.time_columns import Curve, in_columns
from probes.analysis.value_layout import TICKS, ValueLayout
from probes.model import HookId
from probes.units import Unit

_MOST_NAMES = 4096
_MOST_TICKS = 10_000
"""Ticks whose times are kept: 15 minutes at ten a second, and a bit more."""


Values = Callable[[Sequence[Snapshot]], Mapping[Hashable, float | None]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number whose history is kept for each row.

    values: a hook's snapshots -> key -> number; `ByRow`, `SumBy` if it is made of columns. hook:
    its name, "*" for every hook. wrong: values other than 0 are bad. rule: when it is unusual.
    named_by: the hook that tells when a name means another thing. parts: keys are pairs of a name
    and one of these; none: names. absent: the value of an absent row, if there is no rule; None:
    unknown.
    """

    name: str
    title: str
    unit: Unit
    hook: str
    values: Values
    wrong: bool = False
    rule: Threshold | None = None
    named_by: str = ""
    parts: tuple[str, ...] = ()
    absent: float | None = None

    def keys_of(self, name: str) -> Iterable[Hashable]:
        """Return the keys that a name is in."""
        return [(name, part) for part in self.parts] if self.parts else [name]


class Ticks:
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
        if len(self.times) > LENGTH + TICKS and self.times[TICKS] < time - SECONDS:
            del self.times[:TICKS]
        if len(self.times) > _MOST_TICKS:
            del self.times[:TICKS]
        return wall

    @property
    def since(self) -> int:
        """The first tick of the last 15 minutes."""
        now = self.times[-1] if self.times else 0.0
        return self.ticks - len(self.times) + bisect_right(self.times, now - SECONDS) + 1

    def until(self, time: float) -> int:
        """Return how many ticks there had been at that moment."""
        return self.ticks - len(self.times) + bisect_right(self.times, time)

    def window(self, begin: float, until: int) -> tuple[int, array[float]]:
        """Return the ticks from that moment to a tick, and the one before, as first and times."""
        gone = self.ticks - len(self.times)
        first = max(bisect_right(self.times, begin) - 1, 0)
        return gone + first + 1, self.times[first : max(until - gone, 0)]


class _Kept:
    """The history of one figure of a hook."""

    def __init__(self, figure: Figure, layout: ValueLayout) -> None:
        self.figure, self.layout, self.rows = figure, layout, layout.rows
        self.series = Series(layout)
        self.judge = Judge(layout.rows, self.series, figure.rule or ANY)

    def take(
        self, tick: int, snapshots: Sequence[Snapshot], wall: float, begun: int, since: int
    ) -> None:
        """Add a tick. The hook's own rows are known already. since: the tick of 15 minutes ago."""
        values = self.figure.values
        if isinstance(values, ByRow):
            numbers = values.numbers(snapshots)
        else:
            keys, numbers = _columns(values, snapshots)
            self.layout.take(tick, keys, since)
        numbers = in_array(numbers)
        self.series.add(numbers)
        if self.figure.rule is not None:
            self.judge.take(numbers, wall, begun)

    def early(self, slot: int, first: int, until: int, begun: int) -> tuple[list[int], list[float]]:
        """Return a row's ticks and values since a tick that are kept coarsely alone."""
        ticks, values = self.series.coarse(slot, first)
        number, came = bisect_right(ticks, until), self.rows.first[slot]
        nothing = self._nothing
        for n, tick in enumerate(ticks):
            if begun <= tick < came:
                values[n] = nothing
        return ticks[:number], values[:number]

    @property
    def _nothing(self) -> float:
        """The value of a row that is not there; not a number: unknown."""
        figure = self.figure
        absent = figure.rule.absent if figure.rule is not None else figure.absent
        return math.nan if absent is None else absent

    def values(self, slot: int, tick: int, number: int, begun: int) -> array[float]:
        """Return a row's values of some ticks, the first and how many; not a number: unknown.

        A row that was not there has its rule's value, as far as what it is of was read (begun).
        """
        first, last = self.rows.first[slot], self.rows.last(slot)
        since, end = min(max(first, tick), tick + number), min(last + 1, tick + number)
        nothing = self._nothing
        found = array("f", [nothing if begun <= t else math.nan for t in range(tick, since)])
        found.extend(self.series.of(slot, since, end) if since < end else ())
        after = nothing if begun <= last + 1 else math.nan
        found.extend([after] * (number - len(found)))
        return found


class _Watched:
    """A hook's ticks, and what is kept of each figure: of its own rows, or of others."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        self.ticks, self._own = Ticks(), _layout()
        self.kept = {
            f.name: _Kept(f, self._own if isinstance(f.values, ByRow) else _layout())
            for f in figures
        }
        self._by_row = any(isinstance(f.values, ByRow) for f in figures)

    def take(self, snapshots: Sequence[Snapshot], wall: float) -> None:
        tick, begun = self.ticks.ticks, self.ticks.begun
        if self._by_row:
            self._own.take(tick, keys_of(snapshots), self.ticks.since)
        for kept in self.kept.values():
            kept.take(tick, snapshots, wall, begun, self.ticks.since)
        if tick % TICKS == 0:
            for rows in {id(kept.rows): kept.rows for kept in self.kept.values()}.values():
                self._forget(rows, rows.sweep())
            for kept in self.kept.values():
                kept.judge.tidy()

    def keep_gone(self, most: int) -> None:
        """Keep so many rows after they have gone, at most."""
        for kept in self.kept.values():
            kept.rows.most_gone = most

    def forget(self, figure: str, key: Hashable) -> None:
        """Forget a figure's row."""
        layout = self.kept[figure].layout
        self._forget(layout.rows, layout.forget(key))

    def _forget(self, rows: KnownRows, slots: Sequence[int]) -> None:
        if slots:
            for kept in self.kept.values():
                if kept.rows is rows:
                    kept.judge.forget(slots)


def _columns(values: Values, snapshots: Sequence[Snapshot]) -> tuple[Keys, Numbers]:
    if isinstance(values, SumBy):
        return values.summed(snapshots)
    named = values(snapshots)
    return list(named), plain(named.values())


def _layout() -> ValueLayout:
    return ValueLayout(KnownRows(LENGTH))


class History:
    """The last `LENGTH` values of each figure's rows; rows that go are forgotten in time."""

    LENGTH = LENGTH

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures: dict[str, list[Figure]] = {}
        for figure in {f.name: f for f in figures}.values():  # a figure may be in several panes
            self._figures.setdefault(figure.hook, []).append(figure)
        self._watched: dict[str, _Watched] = {}
        self._named: dict[str, Hashable] = {}
        self._most_gone: int | None = None
        self.heat = Heat()

    @property
    def ticks(self) -> dict[str, int]:
        """How many ticks of each hook there were."""
        return {hook: watched.ticks.ticks for hook, watched in self._watched.items()}

    def until(self, time: float) -> dict[str, int]:
        """Return how many there had been at that moment, in that host's monotonic seconds."""
        return {hook: watched.ticks.until(time) for hook, watched in self._watched.items()}

    def add(self, hook: str, snapshots: Sequence[Snapshot]) -> None:
        watched = self._watched.get(hook)
        if watched is None:
            figures = *self._figures.get(hook, ()), *self._figures.get("*", ())
            watched = self._watched[hook] = _Watched(figures)
            if self._most_gone is not None:
                watched.keep_gone(self._most_gone)
        wall = watched.ticks.take(snapshots)
        self._part(hook, snapshots)
        self.heat.add(snapshots)
        watched.take(snapshots, wall)

    def keep_gone(self, most: int) -> None:
        """Keep so many rows of each hook after they have gone, at most."""
        self._most_gone = most
        self.heat.keep_gone(most)
        for watched in self._watched.values():
            watched.keep_gone(most)

    def _part(self, hook: str, snapshots: Sequence[Snapshot]) -> None:
        """Forget figures by a name that means another thing now: an interface made again."""
        figures = [f for kept in self._figures.values() for f in kept if f.named_by == hook]
        if not figures:
            return
        named: dict[str, Hashable] = {str(r["interface"]): r.key for s in snapshots for r in s.rows}
        for name in named.keys() & self._named.keys():
            if named[name] != self._named[name]:
                for figure in figures:
                    if figure.hook in self._watched:
                        for key in figure.keys_of(name):
                            self._watched[figure.hook].forget(figure.name, key)
        self._named = {**self._named, **named} if len(self._named) < _MOST_NAMES else named

    def series(
        self,
        figure: Figure,
        key: Hashable,
        ticks: Mapping[str, int] | None = None,
        most: int = 2 * LENGTH,
    ) -> list[float | None]:
        """Return a row's latest values, newest last. ticks: as after so many readings."""
        kept, slot, until = self._find(figure, key, ticks)
        return kept.series.listed(slot, until, most) if kept is not None else []

    def curve(
        self,
        figure: Figure,
        key: Hashable,
        ticks: Mapping[str, int] | None = None,
        *,
        end: float,
        seconds: float,
        number: int,
    ) -> Curve:
        """Return a row's last seconds until `end` (monotonic) in so many columns."""
        kept, slot, until = self._find(figure, key, ticks)
        if kept is None:
            return Curve([None] * number, None, seconds)
        watched = self._watched[_hook(figure, key)].ticks
        first, times = watched.window(end - seconds - seconds / number, until)
        early, some = kept.early(slot, first, until, watched.begun)
        skip = early[-1] - first + 1 if early else 0
        values = [*some, *kept.values(slot, first + skip, len(times) - skip, watched.begun)]
        times = array("d", [*(times[tick - first] for tick in early), *times[skip:]])
        now = values[-1] if values else math.nan
        columns = in_columns(times, values, end, seconds, number)
        return Curve(columns, now if now == now else None, seconds)

    def unusual(self, figure: Figure) -> AbstractSet[Hashable]:
        """Return the keys of the rows that are unusual now."""
        kept, _ = self._kept(figure, figure.hook, None)
        if kept is None or not kept.judge.opened:
            return frozenset()
        return kept.rows.keys_at(kept.judge.unusual())

    def verdict(
        self, figure: Figure, key: Hashable, ticks: Mapping[str, int] | None = None
    ) -> Verdict:
        """Return whether the row is unusual, and since when."""
        kept, until = self._kept(figure, _hook(figure, key), ticks)
        if kept is None or (ticks is None and not kept.judge.opened):
            return CALM  # as nearly always
        slot = kept.rows.find(key)
        if slot < 0 or (ticks is None and not kept.judge.is_open(slot)):
            return CALM
        return kept.judge.verdict(slot, until)

    def verdicts(
        self, figure: Figure, snapshot: Snapshot, ticks: Mapping[str, int] | None = None
    ) -> ManyVerdicts:
        """Return the verdict on each row of a snapshot, in their order, for a figure by row."""
        kept, until = self._kept(figure, figure.hook, ticks)
        if kept is None:
            return calm(len(snapshot.rows))
        return kept.judge.verdicts(kept.rows.find_all(keys_of((snapshot,))), until)

    def usual(
        self, figure: Figure, key: Hashable, ticks: Mapping[str, int] | None = None
    ) -> float | None:
        """Return the row's usual value, without anomalies; None if too little is known."""
        kept, slot, until = self._find(figure, key, ticks)
        if kept is None:
            return None
        begun = self._watched[_hook(figure, key)].ticks.begun
        return kept.judge.usual(slot, until, begun)

    def _find(
        self, figure: Figure, key: Hashable, ticks: Mapping[str, int] | None
    ) -> tuple[_Kept | None, int, int]:
        """Return a row's figure and slot, and the tick that is asked about; None if not known."""
        kept, until = self._kept(figure, _hook(figure, key), ticks)
        slot = kept.rows.find(key) if kept is not None else -1
        return (kept if slot >= 0 else None), slot, until

    def _kept(
        self, figure: Figure, hook: str, ticks: Mapping[str, int] | None
    ) -> tuple[_Kept | None, int]:
        watched = self._watched.get(hook)
        if watched is None:
            return None, 0
        now = watched.ticks.ticks
        until = now if ticks is None else min(ticks.get(hook, 0), now)
        return watched.kept.get(figure.name), until


def _hook(figure: Figure, key: Hashable) -> str:
    return key.hook if figure.hook == "*" and isinstance(key, HookId) else figure.hook
