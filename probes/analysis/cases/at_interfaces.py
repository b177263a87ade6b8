"""Claims by interface, for panes and output that show interfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from probes.analysis.cases.claim import Claim
from probes.analysis.cases.detectors import drops, programs
from probes.analysis.cases.owners import with_names
from probes.analysis.facts import Facts
from probes.analysis.freed import NOWHERE


def at_interfaces(facts: Facts) -> Mapping[str, Sequence[Claim]]:
    """Return the claims of lost packets and of programs by interface, the worst first.

    Interfaces are named as in `drops`, with their namespace if it is another one.
    """
    return facts.once(_claimed)


def _claimed(facts: Facts) -> Mapping[str, Sequence[Claim]]:
    found: dict[str, list[Claim]] = {}
    every = [*drops.every_claim(facts), *programs.every_claim(facts)]
    for claim in sorted(every, key=weight, reverse=True):
        found.setdefault(_name(claim), []).append(with_names(facts, claim))
    return found


def weight(claim: Claim) -> tuple[float, ...]:
    """Return how bad a claim is; greater is worse. What is elsewhere or our own comes last."""
    share = 1.0 if claim.share is None else claim.share
    return (
        claim.severity, not claim.own, not claim.where.netns, claim.struck * share, claim.now
    )  # fmt: skip


def _name(claim: Claim) -> str:
    if claim.where.interface is None:
        return NOWHERE
    if claim.where.netns:
        return f"{claim.where.interface} (netns {claim.where.netns})"
    return claim.where.interface
