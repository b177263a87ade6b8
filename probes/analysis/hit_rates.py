"""Drop rules and their hit rates: how much of an interface's packets they drop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from probes.analysis.flows import Cause, Flow
from probes.analysis.snapshot_row import SnapshotRow
from probes.model import Enforced

Identity = tuple[str, str]
"""A rule's identity: the interface, and what it matches."""


class Dropping(NamedTuple):
    """An active rule and the packets a second that it drops, None until known."""

    enforced: Enforced
    per_s: float | None = None

    @property
    def id(self) -> Identity:
        return self.enforced.interface, self.enforced.rule.what

    @property
    def place(self) -> str:
        """The rung that enforces it."""
        return self.enforced.rung or "nothing enforces it"

    @property
    def stage(self) -> str:
        """The stage of the funnel where its packets are lost."""
        return "xdp" if self.place.startswith("xdp") else "tc-ingress"


class Hits:
    """Rates of rules, by each rule's own age: so they are right on every source's clock."""

    BACK, STEP = 3.0, 0.9
    """Seconds that a rate looks back, and seconds between two readings."""

    def __init__(self) -> None:
        self._seen: dict[Identity, deque[tuple[float, int]]] = {}

    def take(self, rules: Sequence[Enforced]) -> tuple[Dropping, ...]:
        """Return the rules with their rates; rules that are gone are forgotten."""
        known = {(e.interface, e.rule.what) for e in rules}
        for gone in self._seen.keys() - known:
            del self._seen[gone]
        return tuple(Dropping(e, self._rate(e)) for e in rules)

    def _rate(self, e: Enforced) -> float | None:
        seen = self._seen.setdefault((e.interface, e.rule.what), deque())
        age = e.rule.ttl - e.expires_in
        if seen and (age < seen[-1][0] or e.packets < seen[-1][1]):
            seen.clear()  # it started again
        if not seen or age - seen[-1][0] >= self.STEP:
            seen.append((age, e.packets))
        while len(seen) > 2 and seen[1][0] <= age - self.BACK:
            seen.popleft()
        (since, before), (now, packets) = seen[0], seen[-1]
        return (packets - before) / (now - since) if now > since else None


def share_of(one: Dropping, links: Iterable[SnapshotRow]) -> float | None:
    """Return the share of what its interface receives that a rule drops; None: not known.

    links: rows of the hook `interfaces`.
    """
    link = next((row for row in links if row["interface"] == one.enforced.interface), None)
    if link is None or one.per_s is None:
        return None
    received = max(link.rate("rx_packets"), one.per_s)
    return one.per_s / received if received else None


def by_stage(dropping: Iterable[Dropping], interface: str) -> dict[str, list[Cause]]:
    """Return what rules drop on an interface, by stage of its funnel, the fastest first."""
    found: dict[str, list[Cause]] = {}
    for d in sorted(dropping, key=lambda d: -(d.per_s or 0)):
        if d.enforced.interface == interface:
            lost = Flow(d.enforced.packets, d.per_s)
            found.setdefault(d.stage, []).append(Cause(f"rule {d.enforced.rule.what}", lost))
    return found
