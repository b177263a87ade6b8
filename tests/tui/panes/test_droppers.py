"""Which of the kernel's drops are lost, and which ordinary."""

from __future__ import annotations

import pytest

from probes.analysis import snapshot
from probes.analysis.droppers import Droppers
from probes.analysis.freed import freed
from probes.analysis.freed_here import reasons_at
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.hooks import catalogue
from probes.model import Value
from tests.support.many_views import TwoViews, all_panes


def _row(reason: str, counts: str, place: str = "f+0x1") -> SnapshotRow:
    values: dict[str, Value] = {
        "interface": "-", "reason": reason, "location": place, "trait": "-", "counts": counts,
        "packets": 5,
    }  # fmt: skip
    return SnapshotRow((reason,), values, {"packets": 1.0})


def test_what_loses_no_packets_is_neither_lost_nor_ordinary() -> None:
    """Events, and packets that another row has as well."""
    rows = [
        _row("SOCKET_RCVBUFF", "packets"),
        _row("OTHERHOST", "packets"),
        _row("accept queue full", "again", "TcpExtListenOverflows"),
        _row("SYN cookie sent", "events", "TcpExtSyncookiesSent"),
    ]
    lost, ordinary = freed(rows)
    assert [one.reason for one in lost["no device"]] == ["SOCKET_RCVBUFF"]
    assert [one.reason for one in ordinary["no device"]] == ["OTHERHOST"]


def test_many_rows_have_the_drops_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, and in the same order."""
    monkeypatch.setattr(snapshot, "FEW", 64)
    pane, views = all_panes()["interfaces"], TwoViews(catalogue()["drops"], 400, 3)
    for _ in range(4):
        views.tick(0.7)
    ((many,), (few,)) = (view.of("drops") for view in (views.columns, views.rows))
    assert isinstance(many.rows, ManyRows)
    found, wanted = (freed(s.rows) for s in (many, few))
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.keys() == theirs.keys()
    interfaces = found[0].keys() | found[1].keys()
    assert len(interfaces) > 3
    for name in interfaces:
        told, plain = (
            {(o.reason, o.function, o.lost): o for o in reasons_at(rows, name)}
            for rows in (many.rows, few.rows)
        )
        assert told.keys() == plain.keys()
        for key, one in told.items():
            same = plain[key]
            assert (one.total, one.number) == (same.total, same.number)
            assert one.rate == pytest.approx(same.rate)
            assert [r.rate("packets") for r in one.rows] == [r.rate("packets") for r in same.rows]
    for ask in (pane.trouble, pane.records):  # type: ignore[misc]
        assert ask(views.columns) == ask(views.rows)
    assert pane.trouble(views.columns) is not None
    droppers = [Droppers(view).elsewhere(()) for view in (views.columns, views.rows)]
    assert droppers[0] == droppers[1]
