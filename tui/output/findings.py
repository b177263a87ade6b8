"""Findings as JSON and as text."""

from __future__ import annotations

from collections.abc import Sequence

from probes.analysis.cases import words
from probes.analysis.cases.claim import Who
from probes.analysis.cases.finding import Finding, Progress
from probes.units import printable


def finding_json(finding: Finding) -> dict[str, object]:
    """Return a finding as `findings` has it in each object of the format."""
    case, head = finding.case, finding.case.head
    return {
        "id": head.id,
        "state": str(finding.state),
        "severity": finding.severity.name.lower(),
        "what": head.what,
        "share": None if case.share is None else round(case.share, 4),
        "of": case.of or None,
        "now": None if finding.now is None else round(finding.now, 3),
        "usual": None if finding.usual is None else round(finding.usual, 3),
        "peak": round(finding.peak, 3),
        "unit": unit_of(finding),
        "since": None if finding.since is None else round(finding.since, 3),
        "watched_since": round(finding.watched, 3),
        "until": None if finding.until is None else round(finding.until, 3),
        "ordinary": finding.ordinary,
        "who": [_who(who) for who in case.who],
        "where": {
            "interface": head.where.interface,
            "netns": head.where.netns or "host",
            "stage": head.where.stage,
            "port": head.where.port,
            "address": head.where.address,
            "call": head.where.call,
        },
        "evidence": [
            {
                "hook": e.hook,
                "text": e.text,
                "value": None if e.value is None else round(e.value, 3),
            }
            for e in case.evidence
        ],
        "next": list(case.next),
    }


def unit_of(finding: Finding) -> str:
    """Return the unit of `now`: "packets/s", "ns"."""
    unit = str(finding.case.head.unit)
    return unit if unit in ("ns", "us", "percent") else f"{unit}/s"


def _who(who: Who) -> dict[str, object]:
    if who.program is not None:
        return {"program": who.program}
    if who.rule is not None:
        return {"rule": who.rule}
    return {"pid": who.pid, "comm": who.comm}


def text(findings: Sequence[Finding], now: float) -> str:
    """Return the findings as lines: what, then by whom and by what it was counted, then what next.

    now: Unix seconds.
    """
    lines = []
    for finding in findings:
        mark = {2: "!", 1: "~"}[finding.severity] if finding.state is not Progress.OVER else "-"
        lines.append(f"{mark} {printable(words.line(finding, now))}")
        told = words.names(finding, 3), words.evidence(finding)
        lines += [f"    {printable(said)}" for said in told if said]
        lines += [f"    next: {printable(text)}" for text in finding.case.next]
    return "\n".join(lines)
