"""What outlives the process: at the end all of it is let go of."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from probes.attach.journal import JournalEntry
from probes.attach.persistent import Registry


@pytest.mark.parametrize("kind", [OSError, RuntimeError, AttributeError])
def test_what_cannot_be_let_go_of_keeps_nothing_else(tmp_path: Path, kind: type[Exception]) -> None:
    gone: list[str] = []

    def stuck() -> None:
        raise kind

    register = Registry(tmp_path)
    register._undo = [lambda: gone.append("first"), stuck, lambda: gone.append("last")]
    register.release()
    assert gone == ["last", "first"]


def test_what_two_threads_undo_is_undone_for_both(tmp_path: Path) -> None:
    """The user detaches, while the exit that was asked for releases everything."""
    registry, there = Registry(tmp_path), threading.Barrier(2, timeout=10)

    def detach(_: object) -> None:
        there.wait()

    undo = registry.keep(JournalEntry("cgroup", "/", "x", 1), lambda: None, detach)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(undo), pool.submit(undo)]:
            done.result(10)
    assert list(tmp_path.iterdir()) == []
