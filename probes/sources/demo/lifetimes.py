"""When the demo's drop rules were at work, and which of the flood's senders they stop."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from probes.drop_rule import DropRule
from probes.sources.demo.flood import SENDERS, Sender, matches

Amount = Callable[[float, float], float]
"""An amount from one moment to another: it adds up."""


class Lived(NamedTuple):
    """A rule on an interface, when it was at work, in virtual seconds, and whom it stops."""

    interface: str
    rule: DropRule
    since: float
    until: float
    senders: tuple[Sender, ...]

    @classmethod
    def of(cls, interface: str, rule: DropRule, now: float) -> Lived:
        stopped = [s for s in SENDERS if s.interface == interface and matches(rule, s)]
        return cls(interface, rule, now, now + rule.ttl, tuple(stopped))

    def amount(self, of: Amount, time: float) -> float:
        """Return what of an amount came while it was at work, until that moment."""
        until = min(self.until, time)
        return of(self.since, until) if until > self.since else 0.0


class _Stopped:
    """Spans in which one sender was stopped; they do not meet, oldest first.

    Rules are set and ended at the present, so only the last span still changes, and the amounts
    of all others are added up once.
    """

    def __init__(self) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []
        self._rules: list[Lived] = []
        self._sums: dict[str, list[float]] = {}

    def add(self, lived: Lived) -> None:
        self._rules.append(lived)
        if self._ends and self._ends[-1] >= lived.since:
            self._ends[-1] = max(self._ends[-1], lived.until)
        else:
            self._begins.append(lived.since)
            self._ends.append(lived.until)

    def end(self, lived: Lived, now: float) -> None:
        self._rules.remove(lived)
        longest = max((other.until for other in self._rules), default=now)
        self._ends[-1] = min(self._ends[-1], max(longest, now))

    def amount(self, name: str, of: Amount, time: float) -> float:
        """Return what of an amount came while it was stopped, until that moment."""
        begun = bisect_right(self._begins, time)
        if not begun:
            return 0.0
        sums = self._sums.setdefault(name, [0.0])
        for n in range(len(sums) - 1, begun - 1):
            sums.append(sums[-1] + of(self._begins[n], self._ends[n]))
        return sums[begun - 1] + of(self._begins[begun - 1], min(self._ends[begun - 1], time))


class Lifetimes:
    """The rules that are or were at work."""

    def __init__(self) -> None:
        self._stopped: dict[Sender, _Stopped] = {}
        self._any = False

    def __bool__(self) -> bool:
        return self._any

    def add(self, lived: Lived) -> None:
        self._any = True
        for sender in lived.senders:
            self._stopped.setdefault(sender, _Stopped()).add(lived)

    def end(self, lived: Lived, now: float) -> None:
        """Note that a rule ends; nothing changes if its time was over."""
        for sender in lived.senders:
            self._stopped[sender].end(lived, now)

    def stopped(self, sender: Sender, name: str, of: Amount, since: float, time: float) -> float:
        """Return what of an amount came while a sender was stopped; `name` tells amounts apart."""
        spans = self._stopped.get(sender)
        if spans is None:
            return 0.0
        return spans.amount(name, of, time) - spans.amount(name, of, since)
