"""Packets that are lost: where, why, at which port, whose.

One claim for each cause and interface, and for each port where ports have queues or buffers of
their own. Where several counters count the same packets, the claim has the greatest number.
"""

from __future__ import annotations

from collections.abc import Sequence

from probes.analysis.cases.claim import Claim
from probes.analysis.cases.detector import MOST, Detector
from probes.analysis.cases.detectors.drops.by_cause import LOST, lost_by_cause, settled
from probes.analysis.cases.detectors.drops.claims import CALLERS, CONNECTS, lost_claim
from probes.analysis.cases.detectors.drops.interfaces import NAMESPACES, Links
from probes.analysis.cases.detectors.drops.links import link_claims
from probes.analysis.cases.detectors.drops.queues import dropped_by_qdiscs
from probes.analysis.cases.detectors.drops.rules import rule_claims
from probes.analysis.droppers import HOOKS
from probes.analysis.facts import Facts
from probes.analysis.since_boot import COUNTERS
from probes.model import HookId


def every_claim(facts: Facts) -> Sequence[Claim]:
    """Return all claims of lost packets, the worst first."""
    return facts.once_read(_claimed, *HOOKS, "qdiscs", CALLERS, CONNECTS, COUNTERS, NAMESPACES)


def _claims(facts: Facts) -> Sequence[Claim]:
    return every_claim(facts)[:MOST]


def _wants(facts: Facts) -> Sequence[HookId]:
    """Return the hook that tells what they are a share of, where others' packets are lost."""
    elsewhere = any(claim.where.netns for claim in every_claim(facts))
    return (HookId(NAMESPACES),) if elsewhere else ()


def _claimed(facts: Facts) -> Sequence[Claim]:
    lost = lost_by_cause(facts)
    lost += dropped_by_qdiscs(facts, lost)
    found = [*link_claims(facts), *rule_claims(facts)]
    if lost or found:
        links = Links(facts)
        found += [c for one in settled(lost, links) if (c := lost_claim(facts, one, links))]
    return sorted(found, key=_rank, reverse=True)


def _rank(claim: Claim) -> tuple[float, ...]:
    return claim.severity, not claim.own, not claim.where.netns, claim.struck, claim.now


DETECTOR = Detector("drops", ("drops",), _claims, (LOST,), _wants)
