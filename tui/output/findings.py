"""Findings as JSON and as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import NamedTuple

from probes.analysis.cases import words
from probes.analysis.cases.claim import Gravity, Who
from probes.analysis.cases.finding import Finding, Progress
from probes.model import Status
from probes.units import printable
from tui.output.scope import Scope

Knob = Callable[[str], str | None]
"""Reads the value of a kernel parameter of the host that findings are of; None: not known."""
_MARKS = {Gravity.ALARM: "!", Gravity.NOTICE: "~"}
_OVER, _ORDINARY = "-", "."


def unknown(_: object) -> None:
    """Know no parameter: of a recording, and of another host."""


class FoundWrong(NamedTuple):
    """The findings of a moment, and how to ask the host for its parameters."""

    findings: Sequence[Finding] = ()
    knob: Knob = unknown

    def within(self, scope: Scope) -> FoundWrong:
        """Return those that concern what is asked for."""
        return FoundWrong(scope.findings(self.findings), self.knob)

    def as_json(self) -> list[dict[str, object]]:
        """Return `findings` as each object of the format has it."""
        return [finding_json(finding, self.knob) for finding in self.findings]

    def as_text(self, now: float, *, every: bool = False) -> str:
        """Return the findings as lines. now: Unix seconds. every: also what is ordinary here."""
        shown = [f for f in self.findings if every or not f.ordinary]
        return "\n".join(line for finding in shown for line in _lines(finding, now, self.knob))

    def wrong_as_text(self, now: float) -> str:
        """Return what is wrong now, below a heading; "" if nothing is. now: Unix seconds."""
        wrong = [finding for finding in self.findings if finding.wrong]
        return f"what is wrong:\n{FoundWrong(wrong, self.knob).as_text(now)}" if wrong else ""

    @property
    def ordinary(self) -> int:
        """How many are not over, and ordinary here."""
        return sum(f.ordinary and f.state is not Progress.OVER for f in self.findings)


def finding_json(finding: Finding, knob: Knob = unknown) -> dict[str, object]:
    """Return a finding as `findings` has it in each object of the format."""
    case, head = finding.case, finding.case.head
    return {
        "id": head.id,
        "state": str(finding.state),
        "severity": finding.severity.name.lower(),
        "what": head.what,
        "share": _rounded(case.share, 4),
        "of": case.of or None,
        "now": _rounded(finding.now),
        "usual": _rounded(finding.usual),
        "usual_since": None if finding.usual is None else "boot" if head.since_boot else "watch",
        "peak": _rounded(finding.peak),
        "unit": unit_of(finding),
        "since": _rounded(finding.since),
        "watched_since": _rounded(finding.watched),
        "until": _rounded(finding.until),
        "ordinary": finding.ordinary,
        "who": [_who(who) for who in case.who],
        "where": {
            "interface": head.where.interface,
            "netns": head.where.netns or "host",
            "netns_name": head.where.netns_name or None,
            "stage": head.where.stage,
            "port": head.where.port,
            "address": head.where.address,
            "call": head.where.call,
        },
        "evidence": [
            {"hook": e.hook, "text": e.text, "value": _rounded(e.value)} for e in case.evidence
        ],
        "next": list(_next(finding, knob)),
    }


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None or not isfinite(value) else round(value, digits)


def unit_of(finding: Finding) -> str:
    """Return the unit of `now`: "packets/s", "ns"."""
    unit = str(finding.case.head.unit)
    return unit if unit in ("ns", "us", "percent") else f"{unit}/s"


def _who(who: Who) -> dict[str, object]:
    if who.program is not None:
        return {"program": who.program}
    if who.rule is not None:
        return {"rule": who.rule}
    owner = {"container": who.container, "unit": who.unit}
    return {"pid": who.pid or None, "comm": who.comm, **owner}


def blind_json(
    statuses: Iterable[Status], once: Iterable[Status] = (), passive: Iterable[Status] = ()
) -> list[dict[str, object]]:
    """Return what cannot be told: hooks that are not read, only once, or without a program."""
    unread = [{**_place(s), "why": words.unread(s)} for s in statuses]
    unread += [{**_place(s), "why": words.passive(s)} for s in passive]
    return unread + [{**_place(s), "why": f"{s.id} was read only once"} for s in once]


def _place(status: Status) -> dict[str, object]:
    return {"hook": status.id.hook, "target": status.id.target}


def _next(finding: Finding, knob: Knob) -> Iterable[str]:
    """Yield commands, and kernel parameters with their values now."""
    yield from finding.case.next
    for name in finding.case.knobs:
        yield words.knob(name, knob(name))


def _lines(finding: Finding, now: float, knob: Knob) -> Iterable[str]:
    """Yield what it is, then by whom and by what it was counted, then what next."""
    mark = _MARKS[finding.severity]
    if finding.state is Progress.OVER:
        mark = _OVER
    elif finding.ordinary:
        mark = _ORDINARY
    yield f"{mark} {printable(words.line(finding, now))}"
    told = words.names(finding, 3), words.evidence(finding)
    yield from (f"    {printable(said)}" for said in told if said)
    yield from (f"    next: {printable(text)}" for text in _next(finding, knob))
