"""System calls under suspicion, and the hooks that say more about them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from probes.analysis.anomaly import Verdict
from probes.analysis.cases.claim import Claim
from probes.analysis.facts import Facts
from probes.analysis.history import Figure

HOOK, BY = "syscalls", "syscall-processes"


class Suspect(NamedTuple):
    """A call that is looked at. suspect: how much its processes are worth knowing.

    claim: None while it is not known to be wrong.
    """

    call: str
    suspect: tuple[float, ...]
    claim: Claim | None


def usual_of(facts: Facts, figure: Figure, key: Hashable, verdict: Verdict) -> float | None:
    """Return what was usual before it was unusual, if it is; else what is usual."""
    return verdict.usual if verdict.since is not None else facts.usual(figure, key)
