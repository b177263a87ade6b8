"""Shared by commands that tell what is wrong: readings of this host are judged, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from probes.analysis.cases.judgement import Judgement
from probes.analysis.snapshot import Snapshot
from probes.kernel import sysctl
from probes.model import Enforced, Hook, Status
from tui.commands._run import say
from tui.config import settings
from tui.output.findings import FoundWrong, Knob


def judging(catalogue: Mapping[str, Hook]) -> Judgement:
    """Return what judges, by what the settings say is ordinary here; say what is wrong in them."""
    settled = settings.load(settings.path())
    say(problem for problem in settled.problems if settings.ORDINARY in problem)
    return Judgement(catalogue, settled.ordinary)


def found(
    judgement: Judgement,
    snapshots: Sequence[Snapshot],
    statuses: Iterable[Status],
    rules: Iterable[Enforced],
    knob: Knob = sysctl.value,
) -> FoundWrong:
    """Take a reading of everything; return what is wrong. knob: `unknown` if not of this host."""
    return FoundWrong(judgement.take(snapshots, tuple(statuses), tuple(rules)), knob)
