"""System calls that fail or stall: how much of them, by which errno, by whom."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from probes.analysis.cases.claim import Claim
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.detectors.calls.failing import ERRORS, FAILURES, TCP, failing_calls
from probes.analysis.cases.detectors.calls.stalling import SLOW, stalling_calls
from probes.analysis.cases.detectors.calls.suspect import BY, HOOK, Suspect
from probes.analysis.facts import Facts
from probes.model import HookId

_WANTED = 3
"""Calls whose processes are asked for, at most."""


class Calls(NamedTuple):
    """System calls that fail or stall.

    claims: the worst first. marks: how grave it is of a row, by its key; 0 of others.
    """

    claims: Sequence[Claim]
    marks: Mapping[Hashable, int]
    wanted: Sequence[HookId]


def calls(facts: Facts) -> Calls:
    """Return what is wrong with system calls; computed once for each reading."""
    return facts.once_read(_judged, HOOK, BY, TCP)


def _judged(facts: Facts) -> Calls:
    found = [*failing_calls(facts), *stalling_calls(facts)]
    claims = [one.claim for one in found if one.claim is not None]
    claims.sort(key=lambda claim: (claim.severity, claim.struck), reverse=True)
    marks: dict[Hashable, int] = {}
    for claim in claims:
        for row in claim.rows:
            marks[row.key] = max(marks.get(row.key, 0), int(claim.severity))
    suspects = sorted([one for one in found if any(one.suspect)], key=_suspected, reverse=True)
    worth = [*suspects[:1], *[one for one in suspects[1:] if one.claim is not None]]
    wanted = dict.fromkeys([HookId(BY, one.call) for one in worth])
    return Calls(claims[:MOST], marks, tuple(wanted)[:_WANTED])


def _suspected(one: Suspect) -> tuple[float, ...]:
    return one.suspect


def _wants(facts: Facts) -> Sequence[HookId]:
    """Return the hooks that tell which processes make the calls that are most worth knowing of."""
    return calls(facts).wanted


DETECTOR = Detector(
    "calls", (HOOK,), lambda facts: calls(facts).claims, (ERRORS, FAILURES, SLOW), _wants
)
