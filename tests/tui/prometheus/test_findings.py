"""Findings as metrics: series of what is wrong, bounded; none of what is ordinary."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, generate_latest

from probes.analysis.cases.claim import Gravity, Who
from probes.analysis.cases.finding import Finding, Progress
from probes.hooks import catalogue
from probes.model import HookId, State, Status
from probes.source import Host
from probes.units import Unit
from tests.support.findings import finding
from tui.prometheus.findings import MOST_FINDINGS, MOST_LABEL, MOST_WHO
from tui.prometheus.metrics import Exported


def _said(*findings: Finding, blind: tuple[Status, ...] = ()) -> str:
    exported = Exported(Host("h", "k"), catalogue(), "1")
    exported.judge(findings, blind)
    registry = CollectorRegistry()
    registry.register(exported)
    return generate_latest(registry).decode()


def _series(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}(?:\{{.*\}})? .*$", text, re.MULTILINE)


def test_a_finding_has_its_state_share_age_amount_and_people() -> None:
    text = _said(finding())
    id = 'id="drops/eth1/acme_filter"'
    assert _series(text, "ebpftop_finding") == [
        f'ebpftop_finding{{{id},severity="alarm",state="now",what="eth1 drops packets"}} 1.0'
    ]
    assert f'ebpftop_finding_share_ratio{{{id},of="packets received"}} 0.38' in text
    assert f"ebpftop_finding_since_timestamp_seconds{{{id}}} 1.79000001e+09" in text
    assert f'ebpftop_finding_now{{{id},unit="packets/s"}} 7800.0' in text
    assert f'ebpftop_finding_usual{{{id},unit="packets/s"}} 0.5' in text
    assert _series(text, "ebpftop_finding_who") == [
        f'ebpftop_finding_who{{{id},who="acme_filter"}} 1.0',
        f'ebpftop_finding_who{{{id},who="rsyslogd"}} 1.0',
    ]


def test_times_are_in_seconds_and_what_is_not_counted_has_no_series() -> None:
    text = _said(finding(unit=Unit.US, share=None, since=None))
    assert re.search(r'ebpftop_finding_now\{.*unit="seconds"\} 0\.0078', text)
    assert not _series(text, "ebpftop_finding_share_ratio")
    assert "ebpftop_finding_since_timestamp_seconds{" in text, "since the watch began, at least"


def test_what_is_ordinary_is_counted_and_is_no_series() -> None:
    """So no alert has it; nor what is over."""
    text = _said(finding(ordinary=True), finding("over", state=Progress.OVER))
    assert not _series(text, "ebpftop_finding")
    assert "ebpftop_findings_ordinary 1.0" in text
    assert 'ebpftop_findings{severity="alarm",state="now"} 0.0' in text


def test_counts_are_there_where_nothing_is_wrong() -> None:
    """An alert needs them to be sure."""
    assert len(_series(_said(), "ebpftop_findings")) == 4
    assert 'ebpftop_findings{severity="notice",state="easing"} 1.0' in _said(
        finding(severity=Gravity.NOTICE, state=Progress.EASING)
    )


def test_series_are_bounded_alarms_first() -> None:
    """However much is wrong, and however long the names."""
    names = [Who(f"{n}{'x' * 200}", n) for n in range(50)]
    many = [finding(f"notice/{n}", *names, severity=Gravity.NOTICE) for n in range(100)]
    many += [finding(f"alarm/{n}", *names) for n in range(20)]
    text = _said(*many)
    assert len(_series(text, "ebpftop_finding")) == MOST_FINDINGS
    assert text.count('severity="alarm",state="now",what') == 20
    assert len(_series(text, "ebpftop_finding_who")) == MOST_FINDINGS * MOST_WHO
    assert f"ebpftop_findings_left_out {120.0 - MOST_FINDINGS}" in text
    values = re.findall(r'"((?:[^"\\]|\\.)*)"', "\n".join(_series(text, "ebpftop_finding.*")))
    assert max(map(len, values)) <= MOST_LABEL


def test_ids_that_look_alike_are_one_series() -> None:
    """Prometheus refuses the whole page else."""
    text = _said(finding("a\x1b"), finding("a\x1c"), finding("b" * 200), finding("b" * 201))
    assert len(_series(text, "ebpftop_finding")) == 2
    assert "ebpftop_findings_left_out 2.0" in text


def test_hooks_that_are_not_read_are_named() -> None:
    failed = Status(HookId("drops"), State.FAILED)
    text = _said(blind=(failed, Status(HookId("tc-ingress", "a"), State.FAILED), failed))
    assert _series(text, "ebpftop_findings_blind") == [
        'ebpftop_findings_blind{hook="drops"} 1.0',
        'ebpftop_findings_blind{hook="tc-ingress"} 1.0',
    ]
