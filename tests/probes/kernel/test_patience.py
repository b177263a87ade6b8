"""Calls that may never come back: an end to the waiting, and no thread that keeps a program."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from probes.kernel import patience


def test_a_call_gives_what_it_gives() -> None:
    assert patience.within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        patience.within(5, lambda: 1 // 0)


def test_a_worker_that_was_left_behind_is_replaced() -> None:
    go_on = threading.Event()
    with patience.Worker() as worker:
        assert worker.call(lambda: 1, 5) == 1
        with pytest.raises(patience.TookTooLong):
            worker.call(go_on.wait, 0.05)
        assert worker.call(lambda: 2, 5) == 2
    go_on.set()


def test_only_so_many_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST_LEFT", 2)
    monkeypatch.setattr(patience, "_left", set())
    go_on = threading.Event()
    for _ in range(2):
        with pytest.raises(patience.TookTooLong):
            patience.within(0.05, go_on.wait)
    with pytest.raises(patience.TookTooLong, match="2 others"):
        patience.within(5, lambda: 1)
    go_on.set()
    deadline = time.monotonic() + 10
    while any(t.is_alive() for t in patience._left) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert patience.within(5, lambda: 1) == 1


def test_a_program_ends_although_a_call_does_not() -> None:
    code = (
        "import contextlib, time\n"
        "from probes.kernel import patience\n"
        "with contextlib.suppress(patience.TookTooLong):\n"
        "    patience.within(0.1, lambda: time.sleep(600))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=True).returncode == 0
