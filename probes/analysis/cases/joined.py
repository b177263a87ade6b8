"""Joins claims of one cause to one case, by what was counted for both."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from math import log
from typing import NamedTuple

from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Who


class Case(NamedTuple):
    """One cause. head: the claim that names it. others: what follows from it, the worst first."""

    head: Claim
    others: tuple[Claim, ...] = ()

    @property
    def claims(self) -> tuple[Claim, ...]:
        return (self.head, *self.others)

    @property
    def severity(self) -> Gravity:
        return max(claim.severity for claim in self.claims)

    @property
    def who(self) -> tuple[Who, ...]:
        """Those who take part, of the head first; each once."""
        found: dict[tuple[object, ...], Who] = {}
        for claim in self.claims:
            for who in claim.who:
                found.setdefault(who[:4], who)
        return tuple(found.values())

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(e for claim in self.claims for e in claim.evidence)

    @property
    def rows(self) -> tuple[ClaimedRow, ...]:
        return tuple(dict.fromkeys(row for claim in self.claims for row in claim.rows))

    @property
    def next(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for claim in self.claims for text in claim.next))

    @property
    def knobs(self) -> tuple[str, ...]:
        """Kernel parameters of this host's own namespace."""
        own = [c for c in self.claims if not c.where.netns]
        return tuple(dict.fromkeys(knob for claim in own for knob in claim.knobs))

    @property
    def share(self) -> float | None:
        """The head's share; of another claim where the head's is not counted."""
        return self._shared.share

    @property
    def of(self) -> str:
        return self._shared.of

    @property
    def _shared(self) -> Claim:
        return next((claim for claim in self.claims if claim.share is not None), self.head)

    @property
    def since(self) -> float | None:
        """When the first of it began."""
        known = [claim.since for claim in self.claims if claim.since is not None]
        return min(known, default=None)

    @property
    def rank(self) -> tuple[float, ...]:
        """What comes first has the greatest.

        Alarms before notices, what is not our own doing before what is, this host's before other
        namespaces'; then by how many are struck and their share, in steps of four times, so that
        rows do not change places with each count; then what began first.
        """
        struck = max(claim.struck for claim in self.claims)
        harm = struck * (1.0 if self.share is None else self.share)
        return (
            self.severity,
            not self.head.own,
            not self.head.where.netns,
            round(log(1 + harm, 4)),
            -(self.since or 0.0),
        )


def joined(claims: Iterable[Claim]) -> list[Case]:
    """Join claims that have a tie in common, also by way of a third; the gravest case first."""
    groups = _groups(list(claims))
    cases = [_case(group) for group in groups]
    cases.sort(key=lambda case: case.head.id)
    cases.sort(key=lambda case: case.rank, reverse=True)
    return cases


def _case(claims: Sequence[Claim]) -> Case:
    order = sorted(claims, key=lambda c: (c.depth, c.severity, c.struck), reverse=True)
    return Case(order[0], tuple(order[1:]))


def _groups(claims: Sequence[Claim]) -> list[list[Claim]]:
    leader = list(range(len(claims)))

    def lead(n: int) -> int:
        while leader[n] != n:
            leader[n] = leader[leader[n]]
            n = leader[n]
        return n

    holder: dict[Hashable, int] = {}
    for n, claim in enumerate(claims):
        for tie in claim.ties:
            leader[lead(n)] = lead(holder.setdefault(tie, n))
    found: dict[int, list[Claim]] = {}
    for n, claim in enumerate(claims):
        found.setdefault(lead(n), []).append(claim)
    return list(found.values())
