"""Queries that are given up and asked again in step with the looks are late all the same."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from probes.hooks.name_servers import AGAIN, Queries
from tests.support.events import HOLE, black_hole
from tests.support.namespaces import namespace

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]


def test_a_query_that_is_asked_again_each_second_between_two_looks_is_late() -> None:
    with namespace():
        black_hole()
        queries, ended = Queries(), Event()
        asking = Thread(target=_ask_again, args=(time.monotonic() + AGAIN / 2, ended))
        asking.start()
        try:
            begun = time.monotonic()
            for second in range(1, 7):
                queries.look(_sleep)
                time.sleep(max(begun + second - time.monotonic(), 0))
        finally:
            ended.set()
            asking.join()
    late = {who: tally["late"] for who, tally in queries.tallies.rows()}
    assert late[os.getpid(), _comm(), HOLE] >= 3


def _ask_again(at: float, ended: Event) -> None:
    """Replace a query by another one at this moment, and each second from then on."""
    while not ended.is_set():
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.connect((HOLE, 53))
            ended.wait(max(at - time.monotonic(), 0))
        at += 1.0


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def _comm() -> str:
    return Path("/proc/self/comm").read_text().strip()
