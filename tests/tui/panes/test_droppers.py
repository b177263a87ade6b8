"""Which of the kernel's drops are lost, and which ordinary."""

from __future__ import annotations

from probes.analysis.snapshot_row import SnapshotRow
from probes.model import Value
from tui.panes.interfaces.freed import freed


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
