"""What panes are drawn from: the latest snapshots, their history, and events."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from probes.analysis.anomaly import LEARN, ManyVerdicts, Verdict
from probes.analysis.history import Figure, History
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import Hook, HookId, Row, Sample, Status
from tui.session.drop_rules import Dropping

T = TypeVar("T")


class Event(NamedTuple):
    """Something that happened to a hook, for the log. wall: Unix seconds. time: monotonic."""

    wall: float
    text: str
    role: str
    time: float = 0.0


class Decided(NamedTuple):
    """An entry of a hook's own log (a connect whose outcome is known)."""

    wall: float
    row: Row
    time: float = 0.0


class _Answer(NamedTuple):
    """What was found out about some snapshots, which are kept, so that no other has their ids."""

    stamp: object
    read: Sequence[Snapshot]
    answer: Any


@dataclass(slots=True)
class View:
    """Everything a pane may look at. A frozen screen has a view of its own.

    ticks: how many ticks of each hook this view has seen, None: all. wall, time: when the newest
    sample was taken, in Unix seconds and in monotonic seconds, which setting the clock does not
    disturb. dropping: the rules in force. about: the interface that an inner pane is about. since:
    the first sample of each hook. version: grows with each reading that is added.
    """

    catalogue: Mapping[str, Hook]
    history: History
    snapshots: dict[HookId, Snapshot] = field(default_factory=dict)
    statuses: tuple[Status, ...] = ()
    events: Sequence[Event] = ()
    decided: Mapping[str, Sequence[Decided]] = field(default_factory=dict)
    wall: float = 0.0
    time: float = 0.0
    ticks: dict[str, int] | None = None
    bits: bool = False
    ascii: bool = False
    dropping: tuple[Dropping, ...] = ()
    about: str = ""
    since: dict[HookId, Sample] = field(default_factory=dict)
    version: int = 0
    _stamp: object = field(default=None, init=False, repr=False, compare=False)
    _answers: dict[Callable[[View], Any], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _of_readings: dict[Callable[[View], Any], _Answer] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def still(self) -> View:
        """Return a frozen copy, to be shown while the live view goes on."""
        return replace(
            self,
            snapshots=dict(self.snapshots),
            events=tuple(self.events),
            decided={hook: tuple(kept) for hook, kept in self.decided.items()},
            ticks=dict(self.history.ticks),
            since=dict(self.since),
        )

    def once(self, ask: Callable[[View], T]) -> T:
        """Return the result of `ask`, computed once until something changes."""
        stamp = (
            self.version,
            self.history,
            self.ticks,
            self.statuses,
            self.dropping,
            self.about,
            self.bits,
            self.ascii,
        )
        if stamp != self._stamp:
            self._stamp = stamp
            self._answers.clear()
            self._forget_readings()
        if ask not in self._answers:
            self._answers[ask] = ask(self)
        found: T = self._answers[ask]
        return found

    def once_read(self, ask: Callable[[View], T], *hooks: str) -> T:
        """Return the result of `ask`, computed once for each reading of those hooks.

        It depends on nothing but their snapshots, the history of what is read with them, and the
        rules in force.
        """
        read = [s for hook in hooks for s in self.of(hook)]
        stamp = list(map(id, read)), self.history, self.ticks, self.dropping
        known = self._of_readings.get(ask)
        if known is None or known.stamp != stamp:
            known = self._of_readings[ask] = _Answer(stamp, read, ask(self))
        found: T = known.answer
        return found

    def _forget_readings(self) -> None:
        """Forget what was asked about snapshots that others have replaced: they may be large."""
        current = self.snapshots
        for ask, (_, read, _) in list(self._of_readings.items()):
            if [one for one in read if current.get(one.id) is not one]:
                del self._of_readings[ask]

    @property
    def past(self) -> bool:
        """Whether it is of an earlier moment: it does not show what is attached now."""
        return self.ticks is not None

    def of(self, hook: str) -> list[Snapshot]:
        """Return the hook's snapshots, one for each attached target."""
        return self.once(_by_hook).get(hook, [])

    def rows(self, hook: str) -> list[SnapshotRow]:
        return [r for s in self.of(hook) for r in s.rows]

    def status(self, id: HookId) -> Status:
        return next((s for s in self.statuses if s.id == id), Status(id))

    def series(self, figure: Figure, key: Hashable, most: int) -> list[float | None]:
        """Return at most `most` of the latest values."""
        return self.history.series(figure, key, self.ticks, most)

    def learning(self, hooks: Iterable[str]) -> int:
        """Return after how many readings what is usual is known of all these hooks; 0: it is."""
        ticks = self.history.ticks if self.ticks is None else self.ticks
        return max(0, LEARN - min([ticks[hook] for hook in hooks if hook in ticks], default=0))

    def verdict(self, figure: Figure, key: Hashable) -> Verdict:
        return self.history.verdict(figure, key, self.ticks)

    def verdicts(self, figure: Figure, snapshot: Snapshot) -> ManyVerdicts:
        """Return the verdict on each row of a snapshot, as arrays in their order.

        For a figure whose keys are those of the hook's rows. One question for many rows: each
        array operation costs some microseconds, whatever its length.
        """
        return self.history.verdicts(figure, snapshot, self.ticks)

    def usual(self, figure: Figure, key: Hashable) -> float | None:
        return self.history.usual(figure, key, self.ticks)


def _by_hook(view: View) -> dict[str, list[Snapshot]]:
    found: dict[str, list[Snapshot]] = {}
    for id, snapshot in view.snapshots.items():
        found.setdefault(id.hook, []).append(snapshot)
    return found


def clock(wall: float) -> str:
    """Return the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(wall)) if wall else "--:--:--"
