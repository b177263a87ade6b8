"""A detector of two troubles that the demo has: packets lost at eth1, connects that fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from probes.analysis.cases import judgement
from probes.analysis.cases.claim import Claim, ClaimedRow, Evidence, Gravity, Where, Who
from probes.analysis.cases.detector import Detector
from probes.analysis.facts import Facts
from probes.units import Unit

LOSS, FAILING = "drops/eth1", "tcp-connect/10.0.0.5:5432"


def _claims(facts: Facts) -> Iterator[Claim]:
    lost = sum(r.rate("packets") for r in facts.rows("drops") if r["interface"] == "eth1")
    if lost > 100:
        yield Claim(
            LOSS, Gravity.ALARM, "eth1 drops packets", lost, Unit.PACKETS, "interfaces",
            share=0.38, of="packets received", usual=20.0, struck=lost,
            who=(Who(program="xdp_filter#412"),), where=Where("eth1"),
            evidence=(Evidence("drops", "6.6k/s by XDP xdp_filter#412"),),
            rows=(ClaimedRow("interfaces", "eth1"),), depth=3,
        )  # fmt: skip
    rows = [r for r in facts.rows("tcp-connect") if r.rate("failed") and r["rport"] == 5432]
    if failed := sum(r.rate("failed") for r in rows):
        yield Claim(
            FAILING, Gravity.NOTICE, "10.0.0.5:5432 does not answer", failed, Unit.COUNT,
            "connects", who=tuple(Who(str(r["comm"]), int(str(r["pid"]))) for r in rows),
            rows=tuple(ClaimedRow("tcp-connect", r.key) for r in rows), usual=0.0,
        )  # fmt: skip


def _found(facts: Facts) -> Sequence[Claim]:
    return list(_claims(facts))


DETECTOR = Detector("told", ("drops", "tcp-connect"), _found)


@pytest.fixture
def one_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is judged but by this detector."""
    monkeypatch.setattr(judgement, "DETECTORS", (DETECTOR,))
