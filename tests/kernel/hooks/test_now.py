"""What is said to be now is of now: beside what the process itself counted."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from probes.analysis.snapshot import Trail
from probes.hooks import catalogue
from probes.hooks.syscalls import Recent
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from tests.support.events import server, talk
from tests.support.namespaces import namespace
from tests.support.scenarios import Values, find, values

pytestmark = pytest.mark.kernel

_libc = ctypes.CDLL(None, use_errno=True)
_NOBODY = 2**22 + 1


@contextmanager
def _letting_go(attachment: Attachment) -> Iterator[None]:
    try:
        yield
    finally:
        attachment.detach()


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
    attachment = Attachment(catalogue()["syscalls"], modules)

    def now() -> Values:
        return find(values(attachment), syscall="getpriority")

    with _letting_go(attachment):
        if attachment.climb(pinned=rung, asked=True).state is not State.ATTACHED:
            pytest.skip(attachment.status.refused[-1].why)
        _fail(500, 0)
        row = now()
        assert (row["errors"], row["top_errno"], row["top_share"]) == (500, "EINVAL", 100.0)
        time.sleep(0.25)
        now()
        _fail(10, 30)
        row = now()
        assert (row["errors"], row["top_errno"], row["top_share"]) == (540, "ESRCH", 75.0)
        time.sleep(0.25)
        now()
        row = now()
        assert (row["errors"], row["top_errno"], row["top_share"]) == (540, None, None)


def test_a_sample_has_the_time_of_its_reading(modules: Modules) -> None:
    attachment = Attachment(catalogue()["syscalls"], modules)
    with _letting_go(attachment):
        attachment.climb(asked=True)
        for _ in range(3):
            before, sample, after = time.time(), attachment.read(), time.time()
            assert before <= sample.wall <= after


@pytest.mark.parametrize("rung", ["sock_ops-link", "btf-tracepoint", "tracepoint"])
def test_round_trips_do_not_contradict_the_least_beside_them(modules: Modules, rung: str) -> None:
    hook = catalogue()["tcp-rtt"]
    attachment = Attachment(hook, modules)
    with _letting_go(attachment), namespace(), server("127.0.0.1") as port:
        if attachment.climb(pinned=rung, asked=True).state is not State.ATTACHED:
            pytest.skip(attachment.status.refused[-1].why)
        with closing(talk("127.0.0.1", port, 30)):
            found = Trail(hook).snapshot(attachment.read())
        rows = [r for r in found.rows if port in (r["lport"], r["rport"]) and r["p50_us"]]
        assert rows
        for row in rows:
            assert row.number("min_us") <= row.number("p50_us") <= row.number("p99_us")
