"""Programs are loaded whatever else happens to this process meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from probes.kernel import bpf
from probes.point import ProgType
from tests.support import uring

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
LONG = bpf.exit_with(0)[:8] * 60_000 + bpf.exit_with(1)
"""Instructions that the verifier takes some 30 ms for."""


def _load(times: int) -> None:
    for _ in range(times):
        os.close(bpf.prog_load(ProgType.SOCKET_FILTER, LONG, name="ebpftop_long"))


@contextmanager
def _ticking(seconds: float) -> Iterator[list[int]]:
    """A signal to this process, again and again; yields those that were handled."""
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield seen
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _children() -> Iterator[None]:
    """Children of other threads, each of which ends at once."""
    over = threading.Event()

    def begin() -> None:
        while not over.is_set():
            subprocess.run(["true"], check=True)

    threads = [threading.Thread(target=begin) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_signals_interrupt_no_load() -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with _ticking(0.001) as seen:
        _load(5)
    assert seen, "they are late, not lost"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def test_children_that_end_interrupt_no_load() -> None:
    with _children():
        _load(40)


def test_what_io_uring_completes_interrupts_no_load() -> None:
    """No mask keeps it away: the load is tried again."""
    with uring.ring() as ring:
        if ring is None:
            pytest.skip("no io_uring here")
        for _ in range(20):
            for late in (0.002, 0.012):
                ring.interrupt(late)
            _load(1)
