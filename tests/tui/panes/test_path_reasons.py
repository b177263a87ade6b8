"""Why the kernel dropped: one line for each reason, the least and the ordinary folded."""

from __future__ import annotations

from probes.analysis.history import History
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.hooks import catalogue
from probes.model import HookId, Sample, State, Status
from tui.panes.interfaces.path_reasons import reasons
from tui.session.view import View

NO_SOCKET = ("NO_SOCKET", "__udp4_lib_rcv+0x39c")
FULL = ("SOCKET_RCVBUFF", "__udp_enqueue_schedule_skb+0x1f1")


def _row(
    kind: tuple[str, str], rate: float, port: int | None = None, comm: str = "-", pid: int = 0
) -> SnapshotRow:
    reason, location = kind
    values = dict.fromkeys(catalogue()["drops"].stored) | {
        "interface": "eth1", "reason": reason, "location": location, "trait": "-",
        "counts": "packets", "packets": int(rate * 10), "protocol": "udp", "dport": port,
        "comm": comm, "pid": pid or None,
    }  # fmt: skip
    return SnapshotRow((reason, location, port, comm), values, {"packets": rate})


def _shown(*rows: SnapshotRow, width: int = 120, unfolded: bool = False) -> list[str]:
    view = View(catalogue(), History(()), unfolded=unfolded)
    sample = Sample(Status(HookId("drops"), State.ATTACHED), 1.0, 1.0, 1, {})
    view.snapshots[HookId("drops")] = Snapshot(catalogue()["drops"], sample, 1.0, rows)
    lines = reasons(view, "eth1", width)
    return ["".join(text for text, _ in one.spans) for one in lines if one.spans]


def test_ports_of_one_reason_are_one_line() -> None:
    """A scan of 300 ports is said in one, with all that it loses."""
    shown = _shown(*[_row(NO_SOCKET, 2, port) for port in range(300)])
    assert len(shown) == 2
    assert "nothing listens on 300 ports" in shown[1]
    assert shown[1].split()[6:8] == ["600", "6.0k"]


def test_one_port_is_named_and_who_holds_it() -> None:
    row = _row(FULL, 1200, 514, "rsyslogd", 811)
    for width in (80, 120, 200):
        (_, line) = _shown(row, width=width)
        assert "receive buffer of udp:514 is full" in line
        assert "rsyslogd[811]" in line
        assert len(line) <= width


def test_of_several_owners_the_first_is_named_and_the_others_counted() -> None:
    rows = [_row(FULL, 10 - n, 514 + n, "worker", 100 + n) for n in range(3)]
    shown = _shown(*rows)
    assert "worker[100] +2" in shown[1]
    assert "receive buffer of 3 ports is full" in shown[1]


def test_what_is_little_is_counted_and_ordinary_hidden() -> None:
    """Below 1 %; X shows all of it."""
    little = [_row((f"TCP_{name}", "f+0x1"), 1) for name in ("CSUM", "FLAGS", "ZEROWINDOW")]
    rows = [_row(FULL, 1000, 514), *little, _row(("OTHERHOST", "g+0x1"), 70)]
    shown = _shown(*rows)
    assert [line.strip() for line in shown[2:]] == [
        "3 more, 3/s together; 1 ordinary (X shows them)"
    ]
    every = "\n".join(_shown(*rows, unfolded=True))
    assert "Ordinary: freed after normal use" in every
    assert every.count("TCP_") == 3
    assert "X shows" not in every


def test_what_was_lost_and_is_no_more_is_folded_but_for_the_first() -> None:
    shown = _shown(_row(NO_SOCKET, 0, 53), _row(FULL, 0, 514))
    assert "1 more, 0/s together" in shown[2]
    assert "nothing" in _shown()[1]
