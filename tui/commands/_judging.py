"""Judgement for commands that say what is wrong: on each reading as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probes.analysis.cases.judgement import Judgement
from probes.analysis.cases.ordinary import OrdinaryEntry
from probes.analysis.snapshot import Snapshot, Trail, WindowRoom
from probes.kernel import sysctl
from probes.model import Enforced, Hook, Sample
from tui.commands._run import say
from tui.config import in_force, settings
from tui.output.findings import FoundWrong, Knob

if TYPE_CHECKING:
    from probes.sources.live.source import Live


def judging(catalogue: Mapping[str, Hook]) -> Judgement:
    """Return what judges, by what the settings say is ordinary here; say what is wrong in them."""
    return Judgement(catalogue, _entries())


def _entries() -> tuple[OrdinaryEntry, ...]:
    settled = in_force.load()
    say(problem for problem in settled.problems if settings.ORDINARY in problem)
    return settled.ordinary


def found(
    judgement: Judgement,
    snapshots: Sequence[Snapshot],
    rules: Iterable[Enforced],
    knob: Knob = sysctl.value,
) -> FoundWrong:
    """Take a reading of all that was asked for; return what is wrong.

    knob: `unknown` if it is not of this host.
    """
    statuses = tuple([snapshot.status for snapshot in snapshots])
    return FoundWrong(judgement.take(snapshots, statuses, tuple(rules)), knob)


def until_second(live: Live) -> float:
    """Return the seconds from the first reading to the next, which is not too soon to judge by."""
    left = live.until_next()
    return left if left >= live.interval / 2 else left + live.interval


class _OrdinaryHere:
    """Entries of what is ordinary here, which may change while a command runs."""

    def __init__(self) -> None:
        self._files = in_force.files()
        self._stamps = self._now()

    def changed(self) -> bool:
        """Return whether one of the files is another than at the last question."""
        before, self._stamps = self._stamps, self._now()
        return before != self._stamps

    def _now(self) -> list[tuple[int, ...]]:
        return [_stamp(file) for file in self._files]


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


class LiveJudgement:
    """Judges this host, from reading to reading. there: the last one's snapshots."""

    def __init__(self, live: Live) -> None:
        self._live, self._room = live, WindowRoom()
        self._trails: dict[str, Trail] = {}
        self._here, self._judgement = _OrdinaryHere(), judging(live.catalogue)
        self.facts = self._judgement.facts
        self.there: list[Snapshot] = []
        self.wrong = FoundWrong()

    def take(self, samples: Iterable[Sample]) -> FoundWrong:
        """Take one reading of everything; return what is wrong."""
        if self._here.changed():
            self._judgement.entries = _entries()
        by_hook = dict[str, list[Sample]]()
        for sample in samples:
            by_hook.setdefault(sample.status.id.hook, []).append(sample)
        read = (self._trail(hook).snapshots(some) for hook, some in by_hook.items())
        self.there = [snapshot for some in read for snapshot in some]
        self.wrong = found(self._judgement, self.there, self._live.rules())
        return self.wrong

    def _trail(self, hook: str) -> Trail:
        if hook not in self._trails:
            self._trails[hook] = Trail(self._live.catalogue[hook], room=self._room)
        return self._trails[hook]
