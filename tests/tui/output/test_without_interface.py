"""What was lost at no interface stands beside what was, with the port and who holds it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probes.analysis.snapshot import Snapshot, Trail
from probes.hooks import catalogue
from probes.model import HookId, Sample, State, Status, Value
from probes.source import Host
from tui.output.document import report

HOST = Host("here", "")
ROW: dict[str, Value] = {
    "interface": "-", "reason": "accept queue full", "location": "TcpExtListenDrops",
    "packets": 114, "protocol": "tcp", "dport": 1031, "comm": "ng\x1binx", "pid": 77,
    "counts": "packets", "netns": None,
}  # fmt: skip


def _report(*, from_zero: bool = True, **changes: Value) -> str:
    hook = catalogue()["drops"]
    row = tuple((ROW | changes).get(column.name, "-") for column in hook.stored)
    key = tuple(row[i] for i in hook.places.keys)
    status = Status(HookId("drops"), State.ATTACHED, "btf-tracepoint")
    sample = Sample(status, 1.0, 1.0, rows={key: row})
    snapshot: Snapshot = Trail(hook).snapshot(replace(sample, from_zero=from_zero))
    return report(HOST, [snapshot])


def test_a_full_accept_queue_is_told_with_its_listener() -> None:
    """Nothing that a process is named moves the cursor."""
    first, second, third, *_ = _report().splitlines()
    assert first == "packets lost:"
    assert second.split() == [
        "-", "no", "interface", "114", "accept", "queue", "full",
        "at", "tcp", "port", "1031,", "ng?inx", "(77)",
    ]  # fmt: skip
    assert third == ""


def test_another_namespace_is_named() -> None:
    assert "  netns blue       no interface" in _report(netns=4026532200, netns_name="blue")
    unnamed = _report(netns=4026532200, netns_name=None)
    assert "  netns 4026532200  no interface" in unnamed


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": "again"},
        {"counts": "events"},
        {"location": "tcp_v4_rcv+0x1"},
        {"interface": "lo"},
    ],
)
def test_what_is_no_further_packet_is_no_loss(changes: dict[str, Value]) -> None:
    """Nor what some interface's funnel, or the table of reasons, has already."""
    assert "no interface" not in _report(**changes)


def test_counters_as_old_as_the_host_are_not_called_lost_now() -> None:
    assert "packets lost" not in _report(from_zero=False)
