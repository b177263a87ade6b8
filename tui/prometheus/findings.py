"""What is wrong as metrics: at most `MOST_FINDINGS` of them, the gravest, whatever there is.

    ebpftop_finding{id="drops/eth1/...", severity="alarm", state="now", what="eth1 drops packets"} 1

A finding that is over has none, nor has one that is ordinary here, which is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.ordinary import stable
from probes.model import Status
from probes.units import Unit, printable

MOST_FINDINGS, MOST_WHO = 32, 3
"""Findings with series of their own; those who take part in each, at most."""
MOST_LABEL = 160
"""Characters of a label."""
_SECONDS = {Unit.NS: 1e-9, Unit.US: 1e-6}
_GOES_ON = (Progress.NOW, Progress.EASING)


def finding_families(findings: Sequence[Finding], blind: Iterable[Status]) -> Iterator[Metric]:
    """Yield the families of findings, and of the hooks that are needed and not read."""
    going = [f for f in findings if f.state in _GOES_ON]
    shown = _shown(f for f in going if not f.ordinary)
    yield from _each(shown)
    yield _who(shown)
    yield from _counts(going, len(shown))
    unread = GaugeMetricFamily(
        "ebpftop_findings_blind",
        "1 for a hook that is not read, or only passively: something may be missed.",
        labels=("hook",),
    )
    for hook in sorted({status.id.hook for status in blind}):
        unread.add_metric((hook,), 1)
    yield unread


def _shown(wrong: Iterable[Finding]) -> dict[str, Finding]:
    """Return those with series of their own by label, alarms first."""
    found: dict[str, Finding] = {}
    for finding in sorted(wrong, key=lambda f: f.severity, reverse=True):
        found.setdefault(_label(finding.id), finding)
    return dict([*found.items()][:MOST_FINDINGS])


def _each(shown: dict[str, Finding]) -> Iterator[Metric]:
    there = GaugeMetricFamily(
        "ebpftop_finding",
        "1 for each thing that is wrong (state now), or was so a moment ago (easing).",
        labels=("id", "severity", "state", "what"),
    )
    share = GaugeMetricFamily(
        "ebpftop_finding_share", "Share that fails.", labels=("id", "of"), unit="ratio"
    )
    since = GaugeMetricFamily(
        "ebpftop_finding_since_timestamp",
        "When it began, or when the watch began if it was so before.",
        labels=("id",),
        unit="seconds",
    )
    now = GaugeMetricFamily(
        "ebpftop_finding_now", "Present amount, in its unit.", labels=("id", "unit")
    )
    usual = GaugeMetricFamily(
        "ebpftop_finding_usual", "Usual amount, in its unit.", labels=("id", "unit")
    )
    for id, finding in shown.items():
        case, severity = finding.case, finding.severity.name.lower()
        there.add_metric((id, severity, str(finding.state), _label(case.head.what)), 1)
        if case.share is not None:
            share.add_metric((id, _label(case.of)), case.share)
        since.add_metric((id,), finding.watched if finding.since is None else finding.since)
        unit, factor = _unit(case.head.unit)
        if finding.now is not None:
            now.add_metric((id, unit), finding.now * factor)
        if finding.usual is not None:
            usual.add_metric((id, unit), finding.usual * factor)
    yield from (there, share, since, now, usual)


def _unit(unit: Unit) -> tuple[str, float]:
    """Return a base unit, and its factor."""
    if unit in _SECONDS:
        return "seconds", _SECONDS[unit]
    return ("ratio", 0.01) if unit is Unit.PERCENT else (f"{unit}/s", 1.0)


def _who(shown: dict[str, Finding]) -> Metric:
    """Return those who take part, by names that are the same after a restart."""
    family = GaugeMetricFamily(
        "ebpftop_finding_who", "1 for each participant.", labels=("id", "who")
    )
    for id, finding in shown.items():
        names = dict.fromkeys(_label(stable(who)) for who in finding.case.who)
        for name in [*filter(None, names)][:MOST_WHO]:
            family.add_metric((id, name), 1)
    return family


def _counts(going: Sequence[Finding], shown: int) -> Iterator[Metric]:
    wrong = [f for f in going if not f.ordinary]
    number = Counter((f.severity, f.state) for f in wrong)
    counted = GaugeMetricFamily(
        "ebpftop_findings", "Number of things that are wrong.", labels=("severity", "state")
    )
    for severity in Gravity:
        for state in _GOES_ON:
            counted.add_metric((severity.name.lower(), str(state)), number[severity, state])
    ordinary = len(going) - len(wrong)
    yield from (
        counted,
        GaugeMetricFamily(
            "ebpftop_findings_ordinary",
            "Number of findings that the settings call ordinary here.",
            value=ordinary,
        ),
        GaugeMetricFamily(
            "ebpftop_findings_left_out",
            "Number of findings without a series of their own.",
            value=len(wrong) - shown,
        ),
    )


def _label(text: str) -> str:
    return printable(text)[:MOST_LABEL]
