"""System calls that fail or stall."""

from __future__ import annotations

from collections.abc import Sequence

from probes.analysis.cases.claim import Claim
from probes.analysis.cases.detector import Detector
from probes.analysis.facts import Facts


def _claims(_: Facts) -> Sequence[Claim]:
    return ()


DETECTOR = Detector("calls", (), _claims)
