"""Rows of `drops` that repeat others, or count no packets, are no loss to whoever adds up."""

from __future__ import annotations

import pytest

classes = pytest.importorskip("probes.analysis.classes")

ROW = {
    "interface": "-", "reason": "accept queue full", "location": "TcpExtListenDrops",
    "trait": "-",
}  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "lost"), [("packets", True), (None, True), ("again", False), ("events", False)]
)
def test_only_packets_of_their_own_are_lost(counts: str | None, lost: bool) -> None:
    """None: recordings of before have no such column."""
    assert classes.is_lost(ROW | {"counts": counts}) is lost
