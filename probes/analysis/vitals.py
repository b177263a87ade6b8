"""A host's vital signs: what comes in, what of it is dropped, and what fails; each with a history.

Sums over all rows of the readings, so they are the same for this kernel, a recording, the demo and
another host, and at any earlier moment.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.kinds import CaseKind, kind_of
from probes.analysis.facts import Facts
from probes.analysis.freed import freed
from probes.analysis.history import Figure
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.model import State
from probes.units import Unit

_COUNTERS = ("TcpActiveOpens", "TcpAttemptFails", "TcpRetransSegs", "TcpOutSegs")
"""Counters of the kernel that tell some of it before any program is attached."""
_ALL = ""
"""The key of a figure that has one row."""
MEANINGS = {
    "Packets in": "received by physical devices; in a container, by all but the loopback",
    "Dropped": "by the kernel, programs and devices, drop rules aside; share of packets in",
    "Connects": "TCP connects begun",
    "Failed": "TCP connects that failed; share of those whose outcome is known",
    "Retransmits": "TCP segments sent again; share of those sent",
    "Failing calls": "system calls that failed, ordinary answers aside; share of all calls",
}
"""Meaning of each vital sign, by its title."""


class Vital(NamedTuple):
    """A vital sign of a moment. title, brief: its name, and in few letters.

    per_s: events a second, None: not known. part: whether they are a part of something; share: of
    that, 0 to 1, None: not known. history: the greatest `per_s` of each column, newest last.
    mark: "warn" or "bad" where a case is.
    """

    title: str
    brief: str
    unit: Unit
    per_s: float | None
    part: bool = False
    share: float | None = None
    history: Sequence[float | None] = ()
    mark: str = ""


def _total(column: str, snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    known = [_sum(s, column) for s in snapshots if s.interval is not None]
    return {_ALL: sum(known) if known else None}


def _sum(snapshot: Snapshot, column: str) -> float:
    rows = snapshot.rows
    if isinstance(rows, ManyRows):
        return float(rows.per_s(column).sum())
    return snapshot.rate_of_all(column)


def _received(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    """Return what devices received: the physical ones, as others pass on what those have counted.

    Where there is none, as in a container: all but the loopback.
    """
    rows = [r for s in snapshots if s.interval is not None for r in s.rows]
    if not rows:
        return {_ALL: None}
    outer = [r for r in rows if r.stored["kind"] == "physical"]
    outer = outer or [r for r in rows if r.stored["kind"] != "loopback"]
    return {_ALL: sum([r.rates["rx_packets"] or 0.0 for r in outer])}


def _freed(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    """Return what the kernel's own code dropped and somebody waited for."""
    known = [s for s in snapshots if s.interval is not None]
    lost = [one for s in known for every in freed(s.rows)[0].values() for one in every]
    return {_ALL: sum([one.rate for one in lost if not one.layer]) if known else None}


def _by_programs(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    known = [s for s in snapshots if s.interval is not None]
    lost = [_sum(s, verdict) for s in known for verdict in ("drop", "aborted") if _has(s, verdict)]
    return {_ALL: sum(lost) if known else None}


def _has(snapshot: Snapshot, column: str) -> bool:
    return column in snapshot.hook.places.names


def _counted(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {
        str(row.stored["counter"]): row.rates["events"]
        for snapshot in snapshots
        for row in snapshot.rows
        if row.stored["counter"] in _COUNTERS
    }


def _figure(name: str, hook: str, values: Callable[..., Mapping[Hashable, float | None]]) -> Figure:
    return Figure(f"vital-{name}", name, Unit.COUNT, hook, values)


_IN = _figure("received", "interfaces", _received)
_DROPPED = (
    _figure("freed", "drops", _freed),
    _figure("by-xdp", "xdp-programs", _by_programs),
    _figure("by-tc", "tc-programs", _by_programs),
    _figure("missed", "interfaces", partial(_total, "rx_missed")),
)
_CONNECTS, _ESTABLISHED, _FAILED = (
    _figure(name, "tcp-connect", partial(_total, name))
    for name in ("connects", "established", "failed")
)
_CALLS, _FAILING = (
    _figure(name, "syscalls", partial(_total, name)) for name in ("calls", "failures")
)
_AGAIN, _SENT = (
    _figure(name, "tcp-rtt", partial(_total, name)) for name in ("retransmits", "sent")
)
_COUNTED = _figure("counted", "net-counters", _counted)
FIGURES = (
    _IN, *_DROPPED, _CONNECTS, _ESTABLISHED, _FAILED, _CALLS, _FAILING, _AGAIN, _SENT, _COUNTED,
)  # fmt: skip
"""The figures whose history is needed."""


class _Count(NamedTuple):
    """A number that figures tell together: their sum."""

    figures: Sequence[Figure]
    key: Hashable = _ALL

    def history(self, facts: Facts, seconds: float, number: int) -> list[float | None]:
        parts = [facts.curve(f, self.key, seconds, number).columns for f in self.figures]
        return [_sum_of(values) for values in zip(*parts, strict=True)]

    def now(self, facts: Facts) -> float | None:
        """Return the number of this moment, also where it is too early for a history."""
        return _sum_of([_now(facts, figure, self.key) for figure in self.figures])


def _now(facts: Facts, figure: Figure, key: Hashable) -> float | None:
    snapshots = facts.of(figure.hook)
    if not snapshots:  # detached: its history is of before
        return None
    latest = facts.series(figure, key, 1)
    if latest and latest[-1] is not None:
        return latest[-1]
    return figure.values(snapshots).get(key)  # too early for a history


def _sum_of(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def vitals(facts: Facts, findings: Iterable[Finding], seconds: float, number: int) -> list[Vital]:
    """Return all of them, each whole before its part. Histories: of so many seconds and columns."""
    wrong = [f for f in findings if f.wrong and f.state is Progress.NOW]
    claims = [claim for finding in wrong for claim in finding.case.claims]
    come, dropped = _Count([_IN]), _Count(_DROPPED)
    begun, failed, decided = _attempts(facts)
    again, sent = _segments(facts)
    calls, failing = _Count([_CALLS]), _Count([_FAILING])

    def vital(title: str, brief: str, unit: Unit, count: _Count | None, mark: str = "",
              of: _Count | None = None) -> Vital:  # fmt: skip
        part = of is not None
        if count is None:
            return Vital(title, brief, unit, None, part)
        now = count.now(facts)
        share = _share(now, of.now(facts)) if of is not None else None
        return Vital(
            title, brief, unit, now, part, share, count.history(facts, seconds, number), mark
        )

    seen = _sees(facts, "syscalls")
    return [
        vital("Packets in", "in", Unit.PACKETS, come),
        vital("Dropped", "dropped", Unit.PACKETS, dropped, _mark(claims, CaseKind.DROPS), come),
        vital("Connects", "connects", Unit.COUNT, begun),
        vital("Failed", "conn fail", Unit.COUNT, failed, _mark(claims, CaseKind.CONNECTS), decided),
        vital("Retransmits", "retrans", Unit.COUNT, again, _mark(claims, CaseKind.LOSS), sent),
        vital("Failing calls", "calls fail", Unit.COUNT, failing if seen else None,
              _mark(claims, CaseKind.CALLS), calls),
    ]  # fmt: skip


def _attempts(facts: Facts) -> tuple[_Count, _Count, _Count]:
    """Return what counts connects begun, failed, and decided."""
    if _sees(facts, "tcp-connect"):
        return _Count([_CONNECTS]), _Count([_FAILED]), _Count([_FAILED, _ESTABLISHED])
    begun = _Count([_COUNTED], "TcpActiveOpens")
    return begun, _Count([_COUNTED], "TcpAttemptFails"), begun


def _segments(facts: Facts) -> tuple[_Count, _Count]:
    """Return what counts segments sent again, and all of them."""
    if facts.of("net-counters"):
        return _Count([_COUNTED], "TcpRetransSegs"), _Count([_COUNTED], "TcpOutSegs")
    return _Count([_AGAIN]), _Count([_SENT])


def _sees(facts: Facts, hook: str) -> bool:
    """Return whether a hook's programs count: what it has without them is no such number."""
    return any(s.status.state is State.ATTACHED for s in facts.of(hook))


def _share(part: float | None, whole: float | None) -> float | None:
    """Return the share; None where more is lost than came: it is of something else as well."""
    if part is None or not whole or part > whole:
        return None
    return part / whole


def _mark(claims: Iterable[Claim], kind: CaseKind) -> str:
    grave = max([claim.severity for claim in claims if kind_of(claim) is kind], default=None)
    return "" if grave is None else "bad" if grave is Gravity.ALARM else "warn"
