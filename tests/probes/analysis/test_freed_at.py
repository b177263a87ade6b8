"""What the kernel frees at each stage: as `stage_of` has it, the same of few rows and of many."""

from __future__ import annotations

import pytest

from probes.analysis.drop_stages import STAGES
from probes.analysis.freed_at import IN_RX_DROPPED, PLACES, freed_at
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.hooks import catalogue
from tests.support.many_views import TwoViews


def _row(reason: str, location: str, rate: float, trait: str = "-") -> SnapshotRow:
    known = {"interface": "eth0", "reason": reason, "location": location, "trait": trait,
             "counts": "packets", "protocol": "udp"}  # fmt: skip
    return SnapshotRow((reason, location), known, {"packets": rate})


def test_each_drop_is_at_its_stage() -> None:
    """What the link counts as well is known apart, with what nobody waited for."""
    found = freed_at([
        _row("NO_SOCKET", "udp_queue_rcv+0x1", 3), _row("SOCKET_RCVBUFF", "x+0x1", 4),
        _row("TC_INGRESS", "x+0x1", 5), _row("UNHANDLED_PROTO", "x+0x1", 6),
        _row("NETFILTER_DROP", "nf_hook_slow+0x1", 7),
    ])  # fmt: skip
    assert found["eth0", "socket"] == 7
    assert found["eth0", "tc-ingress"] == 5
    assert found["eth0", IN_RX_DROPPED] == 6
    assert found["eth0", "stack"] in (7, 13), "with what no protocol takes, if that is a loss"
    assert set(STAGES) < set(PLACES)


def test_columns_tell_the_same() -> None:
    views = TwoViews(catalogue()["drops"], 1500, 3)
    for _ in range(3):
        views.tick()
    (many,), (few,) = (view.of("drops") for view in (views.columns, views.rows))
    assert isinstance(many.rows, ManyRows)
    found, expected = freed_at(many.rows), freed_at(few.rows)
    assert found.keys() == expected.keys()
    assert {at: rate for at, rate in found.items() if rate} == pytest.approx(
        {at: rate for at, rate in expected.items() if rate}
    )
    assert any(found.values())
