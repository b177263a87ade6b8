"""View: what panes are drawn from: the latest snapshots, their history, and events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.judgement import cases
from probes.analysis.cases.log import CaseLog, Turn
from probes.analysis.cases.ordinary import OrdinaryEntry, ordinary
from probes.analysis.facts import Facts
from probes.model import ProcessFacts, Row
from tui.output.findings import Knob, unknown

SPANS = (120.0, 300.0, 900.0)
"""The seconds that graphs may show: 2, 5, 15 minutes."""


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


def new_log() -> CaseLog:
    """Return a log of cases that knows nothing yet."""
    return CaseLog(cases)


def _findings(view: View) -> Sequence[Finding]:
    return view.log.at(view, ordinary(view.entries, view.wall))


def _turns(view: View) -> Sequence[Turn]:
    usual = ordinary(view.entries, view.wall)
    return [turn for turn in view.log.turns(view) if not usual(turn.case)]


@dataclass(slots=True)
class View(Facts):
    """Everything a pane may look at. A frozen screen has a view of its own.

    events: the latest. decided: each hook's own log. about: the interface that an inner pane is
    about. span: the seconds that graphs show. unfolded: also what is little or ordinary is shown.
    log: the cases of the last minutes. entries: what is ordinary here. knob: reads a kernel
    parameter of that host. process: tells of a process there.
    """

    events: Sequence[Event] = ()
    decided: Mapping[str, Sequence[Decided]] = field(default_factory=dict)
    bits: bool = False
    ascii: bool = False
    span: float = SPANS[0]
    unfolded: bool = False
    about: str = ""
    log: CaseLog = field(default_factory=new_log)
    entries: tuple[OrdinaryEntry, ...] = ()
    knob: Knob = unknown
    process: Callable[[int], ProcessFacts | None] = unknown

    def findings(self) -> Sequence[Finding]:
        """Return what is wrong at this moment and what was before, the gravest first."""
        return self.once(_findings)

    def hidden(self) -> int:
        """Return how many cases of this moment are ordinary here."""
        return sum(one.ordinary and one.state is not Progress.OVER for one in self.findings())

    def watched(self) -> float:
        """Return for how many seconds there have been readings until this moment."""
        return max(self.time - min([s.time for s in self.since.values()], default=self.time), 0)

    def turns(self) -> Sequence[Turn]:
        """Return what began, eased and was over until this moment, the latest first."""
        return self.once(_turns)

    def stamp(self) -> tuple[object, ...]:
        """Return what answers depend on."""
        return (
            *Facts.stamp(self),
            self.about,
            self.bits,
            self.ascii,
            self.span,
            self.unfolded,
            self.entries,
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


def clock(wall: float) -> str:
    """Return the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(wall)) if wall else "--:--:--"
