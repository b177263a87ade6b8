"""From a source to the live view: samples become snapshots, and some are kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from probes.analysis.cases.log import CaseLog
from probes.analysis.funnel import remember
from probes.analysis.history import Figure, History
from probes.analysis.snapshot import Snapshot, Trail, WindowRoom
from probes.errors import as_refusal
from probes.model import HookId, Sample, Status
from probes.recording.tape import MOST_BYTES, Frame, Gathering, Tape, Timeline
from probes.source import Source
from tui.session.control import Control, Severity
from tui.session.drop_rules import Hits
from tui.session.thrift import Thrift, is_tight
from tui.session.view import Decided, View, new_log

TAPE_SHARE = 0.12
"""The share of the memory bound that the last minutes may take."""
MAX_LOGGED = 500
"""Entries of a hook's own log, at most."""
_TOO_BRIEF = 0.5
"""The share of the interval that a reading has to be after the one before to be judged by."""
_RESTARTED_AFTER = 60.0
"""Seconds by which a reading may be older than another before its host counts as restarted."""


@dataclass(frozen=True, slots=True)
class Recollection:
    """A past up to a moment of a recording: history, the hooks' own logs, and the cases."""

    history: History
    decided: dict[str, deque[Decided]]
    log: CaseLog


class Collector:
    """Fills `view` and logs attaches and detaches, on the event loop.

    changed: called with the hook's name after each reading. tell: shows a toast. tape: what was
    read in the last minutes; of a recording, all of it. keep: gets each moment that is added to it.
    limit: the bound on memory, in bytes.
    """

    def __init__(
        self,
        source: Source,
        figures: list[Figure],
        changed: Callable[[str], None],
        tell: Callable[[str, Severity], None],
        *,
        limit: int | None = None,
    ) -> None:
        self._source, self._changed, self.figures = source, changed, figures
        self.view = View(
            source.catalogue, History(figures), knob=source.knob, process=source.process
        )
        self.control = Control(source, tell, self._now)
        self.view.events = self.control.events
        self._logs: dict[str, deque[Decided]] = {}
        self.view.decided = self._logs
        timeline = getattr(source, "timeline", None)
        self.tape: Timeline = timeline if isinstance(timeline, Timeline) else _tape(source, limit)
        self._thrift = Thrift(self.tape.most if isinstance(self.tape, Tape) else 0)
        self._trails: dict[str, Trail] = {}
        # What comes from elsewhere has one for all.
        self._room = WindowRoom() if self.tape is timeline or hasattr(source, "feed") else None
        self.keep: Callable[[Frame], None] | None = None
        self._gathering = Gathering()
        self._there: dict[str, dict[HookId, Snapshot]] = {}
        self._stood: dict[HookId, Status] = {}
        self._hits = Hits()
        self._said: set[str] = set()

    def _now(self) -> tuple[float, float]:
        """Return the time for the log: Unix and monotonic seconds."""
        return self.view.wall or time.time(), self.view.time

    async def follow(self, hook: str) -> None:
        """Follow a hook; after a failure go on with the next reading."""
        async for samples in self._source.samples(hook):
            try:
                self._look_at(hook, samples)
            except Exception as raised:
                self._complain(hook, raised)

    def _look_at(self, hook: str, samples: tuple[Sample, ...]) -> None:
        remember(self.view.since, samples)
        if self._gathering.is_whole(hook, samples, self._source.interval):
            self.view.log.take(self.view)
            self.close_tick()
            self.note_statuses()
            self.note_rules()
        self._gathering.add(hook, samples)
        self._take(hook, self._trail(hook).snapshots(samples))

    def _complain(self, hook: str, raised: Exception) -> None:
        """Log the error, once for each sentence."""
        why = as_refusal(raised, f"looking at a reading of {hook}").why
        if why not in self._said and len(self._said) < MAX_LOGGED:
            self._said.add(why)
            self.control.note(why, "bad")

    def _trail(self, hook: str) -> Trail:
        """Return the hook's trail, made on demand: a catalogue may grow by custom hooks."""
        if hook not in self._trails:
            self._trails[hook] = Trail(self._source.catalogue[hook], room=self._room)
        return self._trails[hook]

    def go_to(self, timeline: Timeline, number: int) -> None:
        """Continue from another moment of a recording, as if all before it had been seen."""
        view, tick, known = self.view, timeline.at(number), self.view.history
        back = tick.time <= view.time
        view.snapshots.clear()
        self._logs, log = {}, view.log
        view.decided, view.history = self._logs, History(self.figures)
        view.ticks = None
        view.since = dict(timeline.since(number))
        view.statuses, self._stood = tick.statuses, {s.id: s for s in tick.statuses}
        self._hits = Hits()
        for _, before in timeline.window(number, Hits.BACK):
            view.dropping = self._hits.take(before.rules)
        self.control.go_to(timeline, number)
        for hook, (trail, samples) in timeline.trails(number).items():
            self._trails[hook] = trail
            self._take(hook, trail.snapshots(samples))
        view.log, self._gathering = new_log(), Gathering()
        if back:  # what it was before that moment is known already
            view.history, view.ticks, view.log = known, known.until(tick.time), log
        view.wall, view.time = tick.wall, tick.time

    def recall(self, known: Recollection) -> None:
        """Set what was before the moment that was jumped to."""
        view = self.view
        self._logs = view.decided = known.decided
        view.history, view.ticks, view.log = known.history, None, known.log
        view.version += 1

    def close_tick(self) -> None:
        """Add what was read since the previous tick to the tape, unless that is a recording's."""
        source, tape = self._source, self.tape
        if isinstance(tape, Tape):
            self._thrift.take(tape, self.view.history, tight=is_tight(source))
        tick = self._gathering.tick(source.interval, source.statuses(), source.rules())
        if tick is not None and isinstance(tape, Tape):
            frame = tape.add(tick)
            if self.keep is not None:
                self.keep(frame)

    def _take(self, hook: str, snapshots: tuple[Snapshot, ...]) -> None:
        view, there = self.view, {snapshot.id: snapshot for snapshot in snapshots}
        for id in self._there.get(hook, {}).keys() - there.keys():
            view.snapshots.pop(id, None)
        view.snapshots.update(there)
        self._there[hook] = there
        for snapshot in snapshots:
            sample = snapshot.sample
            if sample.time <= view.time - _RESTARTED_AFTER:
                view.log = new_log()
            if not view.time - _RESTARTED_AFTER < sample.time < view.time:
                view.wall, view.time = sample.wall, sample.time
            if sample.log:
                log = self._logs.setdefault(hook, deque(maxlen=MAX_LOGGED))
                log.extend(Decided(sample.wall, row, sample.time) for row in sample.log)
            if self._stood.get(snapshot.id) is not sample.status:
                self.note_statuses()
        if not self._is_brief(snapshots):
            view.history.add(hook, snapshots)
        view.version += 1
        self._changed(hook)

    def _is_brief(self, snapshots: tuple[Snapshot, ...]) -> bool:
        """Return whether too little time has passed to judge by."""
        least = self._source.interval * _TOO_BRIEF
        return any(s.interval is not None and s.interval < least for s in snapshots)

    def note_rules(self) -> bool:
        """Take note of rules; return whether there is or just was any, as their time runs."""
        rules, before = self._source.rules(), self.view.dropping
        if not rules and not before:
            return False
        self.view.dropping = self._hits.take(rules)
        self.control.watch_rules(rules)
        return True

    def note_statuses(self) -> bool:
        """Take note of statuses; return whether any hook's changed."""
        statuses = self._source.statuses()
        if statuses is self.view.statuses or statuses == self.view.statuses:
            return False
        self.view.statuses = statuses
        self._stood = {s.id: s for s in statuses}
        self.control.watch(statuses)
        return True


def _tape(source: Source, limit: int | None) -> Tape:
    if limit is None:
        return Tape(source.catalogue)
    return Tape(source.catalogue, most=min(MOST_BYTES, int(limit * TAPE_SHARE)))
