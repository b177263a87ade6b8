"""Findings as detectors and the log would make them."""

from __future__ import annotations

from probes.analysis.cases.claim import Claim, Evidence, Gravity, Where, Who
from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.joined import Case
from probes.units import Unit

WATCHED = 1_790_000_000.0


def finding(
    id: str = "drops/eth1/acme_filter",
    *who: Who,
    state: Progress = Progress.NOW,
    severity: Gravity = Gravity.ALARM,
    share: float | None = 0.38,
    since: float | None = WATCHED + 10,
    ordinary: bool = False,
    unit: Unit = Unit.PACKETS,
    netns: str = "",
) -> Finding:
    """A program that drops packets of eth1, and whatever else is given."""
    claim = Claim(
        id,
        severity,
        "eth1 drops packets",
        7800.0,
        unit,
        "interfaces",
        share=share,
        of="packets received" if share is not None else "",
        usual=0.5,
        who=who or (Who(program="acme_filter#412", rate=6600.0), Who("rsyslogd", 811)),
        where=Where("eth1", netns=netns, stage="xdp"),
        evidence=(Evidence("xdp-programs", "6.6k/s dropped by XDP acme_filter#412", 6600.0),),
        next=("bpftool prog show id 412",),
        knobs=("net.core.rmem_max",),
    )
    over = state is Progress.OVER
    return Finding(
        Case(claim),
        state,
        since,
        WATCHED,
        None if state is Progress.NOW else WATCHED + 60,
        None if over else 7800.0,
        9000.0,
        ordinary,
    )
