"""Kinds of trouble, as the vital signs and the timeline distinguish them."""

from __future__ import annotations

from enum import StrEnum

from probes.analysis.cases.claim import Claim


class CaseKind(StrEnum):
    """The kind of a claim, as one word."""

    DROPS = "drops"
    CONNECTS = "connects fail"
    CALLS = "calls fail"
    LOSS = "loss"
    TRIPS = "RTT"
    SLOW = "slow"
    MEMORY = "memory"
    OTHER = "other"


_HOOKS = {
    "drops": CaseKind.DROPS,
    "interfaces": CaseKind.DROPS,
    "qdiscs": CaseKind.DROPS,
    "xdp-programs": CaseKind.DROPS,
    "tc-programs": CaseKind.DROPS,
    "xdp-errors": CaseKind.DROPS,
    "tcp-connect": CaseKind.CONNECTS,
    "dns": CaseKind.CONNECTS,
    "syscalls": CaseKind.CALLS,
    "syscall-processes": CaseKind.CALLS,
    "tcp-rtt": CaseKind.TRIPS,
    "tcp-stalled": CaseKind.SLOW,
    "memory": CaseKind.MEMORY,
    "execs": CaseKind.CALLS,
}


def kind_of(claim: Claim) -> CaseKind:
    """Return the kind of a claim, from its id: hook/place/what."""
    if claim.id.endswith("/slow"):
        return CaseKind.SLOW
    if claim.id.endswith("/retransmits"):
        return CaseKind.LOSS
    return _HOOKS.get(claim.id.partition("/")[0], CaseKind.OTHER)
