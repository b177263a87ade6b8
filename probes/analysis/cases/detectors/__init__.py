"""One file or one folder for each kind of trouble; `DETECTORS` has them all."""

from __future__ import annotations

from probes.analysis.cases.detector import Detector
from probes.analysis.cases.detectors import (
    calls,
    connects,
    drops,
    lookups,
    memory,
    processes,
    programs,
    stalled,
    trips,
)

DETECTORS: tuple[Detector, ...] = tuple(
    module.DETECTOR
    for module in (
        drops, programs, connects, lookups, trips, stalled, calls, processes, memory,
    )
)  # fmt: skip
