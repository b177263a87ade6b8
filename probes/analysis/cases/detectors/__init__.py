"""One file or one folder for each kind of trouble; `DETECTORS` has them all."""

from __future__ import annotations

from probes.analysis.cases.detector import Detector
from probes.analysis.cases.detectors import calls, connects, drops, lookups, memory, programs, trips

DETECTORS: tuple[Detector, ...] = tuple(
    module.DETECTOR for module in (drops, programs, connects, lookups, trips, calls, memory)
)
