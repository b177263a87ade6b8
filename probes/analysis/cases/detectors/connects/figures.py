"""Histories of connects: what fails at each destination, and how long it takes."""

from __future__ import annotations

from probes.analysis.anomaly import Threshold
from probes.analysis.by_row import ByRow, SumBy
from probes.analysis.history import Figure
from probes.units import Unit

HOOK = "tcp-connect"
BY_PLACE = Figure(
    "connect-place", "failed/s", Unit.COUNT, HOOK, SumBy(("raddr", "rport"), "failed"),
    wrong=True, rule=Threshold(0.05, alarm=0.05),
)  # fmt: skip
"""Failing connects of each destination: any is noted, with its start and the usual rate."""
SLOW = Figure(
    "connect-mean", "mean time", Unit.NS, HOOK, ByRow("mean_ns"),
    rule=Threshold(50e6, times=4, absent=None),
)  # fmt: skip
