"""What panes are drawn from: the latest snapshots, what was before, and what happened."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from probes.model import Hook, HookId, Row, Sample, Status
from probes.snapshot import Snapshot, SnapshotRow
from probes.units import Unit
from tui.rules import Dropping


@dataclass(frozen=True, slots=True)
class Figure:
    """A number whose history is kept for each row. values: a hook's snapshots -> key -> number.
    hook: whose, "*" for each hook's own. wrong: other than 0 is bad."""

    name: str
    title: str
    unit: Unit
    hook: str
    values: Callable[[Sequence[Snapshot]], Mapping[Hashable, float | None]]
    wrong: bool = False


class Event(NamedTuple):
    """Something that was done to a hook, for the log. wall: Unix seconds."""

    wall: float
    text: str
    role: str


class Decided(NamedTuple):
    """An entry of a hook's own log (a connect that was decided)."""

    wall: float
    row: Row


class History:
    """The latest values of each figure and row, as many as `LENGTH` ticks; rows that go, go."""

    LENGTH = 400

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures: dict[str, list[Figure]] = {}
        for figure in figures:
            self._figures.setdefault(figure.hook, []).append(figure)
        self._kept: dict[tuple[str, str], dict[Hashable, deque[float | None]]] = {}
        self.ticks: dict[str, int] = {}

    def add(self, hook: str, snapshots: Sequence[Snapshot]) -> None:
        self.ticks[hook] = self.ticks.get(hook, 0) + 1
        for figure in (*self._figures.get(hook, ()), *self._figures.get("*", ())):
            kept = self._kept.setdefault((figure.name, hook), {})
            values = figure.values(snapshots)
            for key in [k for k in kept if k not in values and not _any(kept[k])]:
                del kept[key]
            for key in values.keys() | kept.keys():
                ring = kept.get(key)
                if ring is None:
                    ring = kept[key] = deque(maxlen=self.LENGTH)
                ring.append(values.get(key))

    def series(
        self, figure: Figure, key: Hashable, ticks: Mapping[str, int] | None
    ) -> list[float | None]:
        """A row's values, the newest last. ticks: as they were when so many had been seen."""
        hook = key.hook if figure.hook == "*" and isinstance(key, HookId) else figure.hook
        values = list(self._kept.get((figure.name, hook), {}).get(key, ()))
        newer = self.ticks.get(hook, 0) - ticks.get(hook, 0) if ticks is not None else 0
        return values[: max(len(values) - newer, 0)] if newer > 0 else values


def _any(values: Iterable[float | None]) -> bool:
    return any(v is not None for v in values)


@dataclass(slots=True)
class View:
    """Everything a pane may look at. A frozen screen has a view of its own.

    ticks: how many ticks of each hook this view has seen, None: all there are.
    wall: when the newest sample was taken, in Unix seconds. dropping: the rules that stand.
    about: the interface that an inner pane is about. since: the first sample of each hook.
    """

    catalogue: Mapping[str, Hook]
    history: History
    snapshots: dict[HookId, Snapshot] = field(default_factory=dict)
    statuses: tuple[Status, ...] = ()
    events: Sequence[Event] = ()
    decided: dict[str, deque[Decided]] = field(default_factory=dict)
    wall: float = 0.0
    ticks: dict[str, int] | None = None
    bits: bool = False
    ascii: bool = False
    dropping: tuple[Dropping, ...] = ()
    about: str = ""
    since: dict[HookId, Sample] = field(default_factory=dict)

    def still(self) -> View:
        """This moment, to be looked at while the live view goes on."""
        return replace(
            self,
            snapshots=dict(self.snapshots),
            events=tuple(self.events),
            decided={hook: deque(kept) for hook, kept in self.decided.items()},
            ticks=dict(self.history.ticks),
            since=dict(self.since),
        )

    def of(self, hook: str) -> list[Snapshot]:
        """The hook's snapshots, one for each target that stands."""
        return [s for i, s in self.snapshots.items() if i.hook == hook]

    def rows(self, hook: str) -> list[SnapshotRow]:
        return [r for s in self.of(hook) for r in s.rows]

    def status(self, id: HookId) -> Status:
        return next((s for s in self.statuses if s.id == id), Status(id))

    def series(self, figure: Figure, key: Hashable) -> list[float | None]:
        return self.history.series(figure, key, self.ticks)


def clock(wall: float) -> str:
    """The time of day, here."""
    return time.strftime("%H:%M:%S", time.localtime(wall)) if wall else "--:--:--"
