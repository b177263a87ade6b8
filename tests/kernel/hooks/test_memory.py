"""A cgroup whose processes wait for memory has a row, as long as it is there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from tests.incidents import memory_pressure
from tests.support.incidents import cgroup
from tests.support.incidents.stage import CannotBePlayed, Stage
from tests.support.scenarios import Values, values

pytestmark = pytest.mark.kernel


def _row(attachment: Attachment) -> Values | None:
    return next((r for r in values(attachment) if r["where"] == f"/{cgroup.name()}"), None)


@pytest.mark.anywhere
def test_a_cgroup_that_waits_is_told_with_its_largest_process(modules: Modules) -> None:
    attachment = Attachment(catalogue()["memory"], modules)
    assert attachment.climb().state in (State.ATTACHED, State.PASSIVE)
    try:
        assert _row(attachment) is None
        with Stage() as stage:
            try:
                memory_pressure.play(stage)
            except CannotBePlayed as lack:
                pytest.skip(str(lack))
            until = time.monotonic() + 60
            while (row := _row(attachment)) is None or not row["comm"]:
                assert time.monotonic() < until
                time.sleep(0.2)
            waited = cgroup.waited_ms()
            again = _row(attachment)
        assert row["comm"] == "indexer"
        assert again is not None
        assert waited * 1e6 <= again["some_ns"] <= row["some_ns"] + 60e9
        assert _row(attachment) is None
    finally:
        attachment.detach()
        cgroup.sweep()


@pytest.fixture
def limited() -> Iterator[Path]:
    """A cgroup of v2 that may have 16 MB, and no swap."""
    top = next((place for place in cgroup.V2 if (place / "cgroup.controllers").is_file()), None)
    if top is None or "memory" not in (top / "cgroup.controllers").read_text().split():
        pytest.skip("cgroup v2 has no memory controller here")
    (top / "cgroup.subtree_control").write_text("+memory")
    folder = top / cgroup.name()
    folder.mkdir()
    try:
        (folder / "memory.max").write_text(str(16 << 20))
        with suppress(OSError):  # no swap in this kernel
            (folder / "memory.swap.max").write_text("0")
        yield folder
    finally:
        folder.rmdir()


def _takes(group: Path, octets: int) -> int:
    """Take so much memory in a process of that cgroup; return its wait status."""
    pid = os.fork()
    if pid == 0:
        (group / "cgroup.procs").write_text("0")
        block = bytearray(octets)
        block[::4096] = b"x" * len(block[::4096])
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_what_a_cgroup_s_own_events_count(modules: Modules, limited: Path) -> None:
    """Processes that are killed, and how often it was at its limit, or over memory.high."""
    attachment = Attachment(catalogue()["memory"], modules)
    assert attachment.climb().state in (State.ATTACHED, State.PASSIVE)
    try:
        assert _row(attachment) is None
        assert _takes(limited, 64 << 20) == signal.SIGKILL
        row = _row(attachment)
        assert row is not None
        assert (row["oom_kill"], row["limit"]) == (1, 16 << 20)
        assert row["oom"] >= 1
        assert row["max_events"] >= 1
        assert _takes(limited, 64 << 20) == signal.SIGKILL
        (limited / "memory.high").write_text(str(4 << 20))
        assert _takes(limited, 8 << 20) == 0
        again = _row(attachment)
        assert again is not None
        assert (again["oom_kill"], again["high"]) == (2, 4 << 20)
        assert again["high_events"] >= 1
    finally:
        attachment.detach()
