"""Queries that are given up and asked again in step with the looks are late all the same."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from probes.hooks.name_servers import Queries
from tests.support.events import HOLE, black_hole
from tests.support.namespaces import namespace

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_a_query_that_is_asked_again_each_second_is_late_in_each_watch(phase: float) -> None:
    late = _watched_late(6, lambda ended: _ask_again(time.monotonic() + phase, ended))
    assert late[0] >= 5
    assert late[1] <= 1  # the last one, which ends early


def test_queries_that_wait_for_a_part_of_each_second_are_met() -> None:
    late = _watched_late(8, lambda ended: _ask_again(time.monotonic(), ended, waits=0.7))
    assert late[0] >= 4


def _watched_late(seconds: int, ask: Callable[[Event], None]) -> tuple[int, int]:
    """Return how many queries were late, and how many were not, of a watch each second."""
    with namespace():
        black_hole()
        queries, ended = Queries(), Event()
        asking = Thread(target=ask, args=(ended,))
        asking.start()
        try:
            begun = time.monotonic()
            for second in range(1, seconds + 1):
                queries.watch(time.sleep)
                time.sleep(max(begun + second - time.monotonic(), 0))
        finally:
            ended.set()
            asking.join()
    rows = [tally for (*_, server), tally in queries.tallies.rows() if server == HOLE]
    late = sum(tally["late"] for tally in rows)
    assert (os.getpid(), _comm(), HOLE) in queries.tallies, "who asks is looked for now and then"
    return late, sum(tally["seen"] for tally in rows) - late


def _ask_again(at: float, ended: Event, waits: float = 1.0) -> None:
    """Ask at this moment and each second from then on, and wait for a part of it."""
    while not ended.wait(max(at - time.monotonic(), 0)):
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.connect((HOLE, 53))
            ended.wait(max(at + waits - time.monotonic(), 0))
        at += 1.0


def _comm() -> str:
    return Path("/proc/self/comm").read_text().strip()
