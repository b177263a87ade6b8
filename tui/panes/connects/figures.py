"""Histories of connects by destination: what is begun and what fails."""

from __future__ import annotations

from probes.analysis.by_row import ByRow, SumBy
from probes.analysis.cases.detectors.connects.figures import BY_PLACE, SLOW
from probes.analysis.history import Figure
from probes.units import Unit

HOOK = "tcp-connect"
BEGUN = Figure(
    "connect-begun", "connects/s", Unit.COUNT, HOOK, SumBy(("raddr", "rport"), "connects")
)
FAILED = BY_PLACE
"""Failures of each address and port, as `BEGUN`."""
PORTS_FAILED = Figure(
    "connect-ports-failed", "failed/s", Unit.COUNT, HOOK, SumBy(("comm", "raddr"), "failed"),
    wrong=True, rule=BY_PLACE.rule,
)  # fmt: skip
"""Failures of each command and address, for ports that are one row."""
FAILURES = Figure(
    "connect-failed", "failed/s", Unit.COUNT, HOOK, ByRow("failed", rate=True),
    wrong=True, rule=BY_PLACE.rule,
)  # fmt: skip
"""Failures of each process and destination."""
TIME = SLOW
"""The mean time of each process and destination."""
