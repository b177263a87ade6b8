"""Facts about a host at one moment: readings, their history, and the state of the hooks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TypeVar

from probes.analysis.anomaly import LEARN, ManyVerdicts, Verdict
from probes.analysis.history import Figure, History
from probes.analysis.hit_rates import Dropping
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.analysis.time_columns import Curve
from probes.model import Hook, HookId, Sample, Status

T = TypeVar("T")
_A_MOMENT = 0.01
"""Seconds by which clocks may differ: less than between two readings."""


class _Computed(NamedTuple):
    """Results computed from some snapshots, which it holds so that their ids stay unique."""

    stamp: object
    read: Sequence[Snapshot]
    answer: Any


@dataclass(slots=True)
class Facts:
    """Everything that judgement may look at, the same for a live host, a recorded and a remote one.

    ticks: how many ticks of each hook there had been at that moment, None: all. wall, time: when
    the newest sample was taken, in Unix seconds and in monotonic seconds, which setting the clock
    does not disturb. dropping: the rules in force. since: the first sample of each hook. version:
    grows with each reading that is added.
    """

    catalogue: Mapping[str, Hook]
    history: History
    snapshots: dict[HookId, Snapshot] = field(default_factory=dict)
    statuses: tuple[Status, ...] = ()
    wall: float = 0.0
    time: float = 0.0
    ticks: dict[str, int] | None = None
    dropping: tuple[Dropping, ...] = ()
    since: dict[HookId, Sample] = field(default_factory=dict)
    version: int = 0
    _stamp: object = field(default=None, init=False, repr=False, compare=False)
    _answers: dict[Callable[[Any], Any], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _of_readings: dict[Callable[[Any], Any], _Computed] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def stamp(self) -> tuple[object, ...]:
        """Return what answers depend on."""
        return self.version, self.history, self.ticks, self.statuses, self.dropping

    def once(self, ask: Callable[[Self], T]) -> T:
        """Return the result of `ask`, computed once until something changes."""
        stamp = self.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._answers.clear()
            self._forget_readings()
        if ask not in self._answers:
            self._answers[ask] = ask(self)
        found: T = self._answers[ask]
        return found

    def once_read(self, ask: Callable[[Self], T], *hooks: str) -> T:
        """Return the result of `ask`, computed once for each reading of those hooks.

        It depends on nothing but their snapshots, the history of what is read with them, and the
        rules in force.
        """
        read = [s for hook in hooks for s in self.of(hook)]
        stamp = list(map(id, read)), self.history, self.ticks, self.dropping
        known = self._of_readings.get(ask)
        if known is None or known.stamp != stamp:
            known = self._of_readings[ask] = _Computed(stamp, read, ask(self))
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

    def curve(self, figure: Figure, key: Hashable, seconds: float, number: int) -> Curve:
        """Return a row's last seconds in so many columns."""
        return self.history.curve(
            figure, key, self.ticks, end=self.time, seconds=seconds, number=number
        )

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

    def usual_before(self, figure: Figure, key: Hashable, wall: float) -> float | None:
        """Return what was usual before a moment, in Unix seconds."""
        ticks = self.history.until(self.time - max(self.wall - wall, 0.0) - _A_MOMENT)
        return self.history.usual(figure, key, ticks)


def _by_hook(facts: Facts) -> dict[str, list[Snapshot]]:
    found: dict[str, list[Snapshot]] = {}
    for id, snapshot in facts.snapshots.items():
        found.setdefault(id.hook, []).append(snapshot)
    return found
