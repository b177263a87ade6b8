"""What is said to be now is of now: beside what the process itself counted."""

from __future__ import annotations

import ctypes
import time
from contextlib import closing

import pytest

from probes.analysis.snapshot import Trail
from probes.hooks.syscalls.failing import Recent
from probes.ladder.attachment import Modules
from tests.support.events import server, talk
from tests.support.namespaces import namespace
from tests.support.rungs import standing
from tests.support.scenarios import Values, find, values

pytestmark = pytest.mark.kernel

_libc = ctypes.CDLL(None, use_errno=True)
_NOBODY = 2**22 + 1


def _fail(wrong: int, unknown: int) -> None:
    """So often with EINVAL, so often with ESRCH: a call that hardly anything else makes."""
    assert sum(_libc.getpriority(99, 0) == -1 for _ in range(wrong)) == wrong
    assert sum(_libc.getpriority(0, _NOBODY) == -1 for _ in range(unknown)) == unknown


@pytest.mark.parametrize("rung", ["btf-tracepoint", "raw-tracepoint", "tracepoint"])
def test_the_errno_that_is_named_is_that_of_the_last_seconds(
    modules: Modules, rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds are made short: 500 errors, later 40, later none."""
    monkeypatch.setattr(Trail, "WINDOW", 0.2)
    monkeypatch.setattr(Recent, "_LEAST", 0.0)

    def now() -> Values:
        return find(values(attachment), syscall="getpriority")

    with standing(modules, "syscalls", rung=rung) as attachment:
        _fail(500, 0)
        row = now()
        assert (row["errors"], row["top_errno"], row["top_share"]) == (500, "EINVAL", 100.0)
        time.sleep(0.25)
        now()
        _fail(10, 30)
        row = now()
        assert (row["errors"], row["top_errno"], row["top_share"]) == (540, "ESRCH", 75.0)
        assert (row["failures"], row["worst_errno"], row["worst_share"]) == (510, "EINVAL", 25.0)
        time.sleep(0.25)
        now()
        row = now()
        assert (row["errors"], row["top_errno"], row["top_share"]) == (540, None, None)
        assert (row["failures"], row["worst_errno"], row["worst_share"]) == (510, None, None)


def test_a_sample_has_the_time_of_its_reading(modules: Modules) -> None:
    with standing(modules, "syscalls") as attachment:
        for _ in range(3):
            before, sample, after = time.time(), attachment.read(), time.time()
            assert before <= sample.wall <= after


@pytest.mark.parametrize("rung", ["sock_ops-iter", "sock_ops-link", "btf-tracepoint", "tracepoint"])
def test_round_trips_do_not_contradict_the_least_beside_them(modules: Modules, rung: str) -> None:
    with (
        namespace(),
        server("127.0.0.1") as port,
        standing(modules, "tcp-rtt", rung=rung) as attachment,
    ):
        with closing(talk("127.0.0.1", port, 30)):
            found = Trail(attachment.hook).snapshot(attachment.read())
        rows = [r for r in found.rows if port in (r["lport"], r["rport"]) and r["p50_us"]]
        assert rows
        for row in rows:
            assert row.number("min_us") <= row.number("p50_us") <= row.number("p99_us")
