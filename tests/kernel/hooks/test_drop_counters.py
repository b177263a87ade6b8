"""The kernel's own drop counters equal nstat's, and a known number of drops shows as that."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from probes.hooks.drops import counters
from probes.kernel import procfs
from tests.support.namespaces import as_json, namespace

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


def test_every_counter_equals_nstat() -> None:
    ours = procfs.net_counters()
    theirs = as_json("nstat", "-a", "-s", "-z", "-j")["kernel"]
    known = ours.keys() & counters.ALL.keys()
    assert len(known) > 40
    for name in known:
        assert ours[name] == theirs[name], name


def test_datagrams_that_find_the_buffer_full_are_counted() -> None:
    """What was sent is what was read plus what UdpRcvbufErrors says."""
    with socket.socket(type=socket.SOCK_DGRAM) as to, socket.socket(type=socket.SOCK_DGRAM) as out:
        to.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        to.bind(("127.0.0.1", 0))
        to.setblocking(False)
        for _ in range(200):
            out.sendto(b"x" * 500, to.getsockname())
        read = 0
        while True:
            try:
                to.recv(1000)
            except BlockingIOError:
                break
            read += 1
    found = procfs.net_counters()
    assert 0 < read < 200
    assert found["UdpRcvbufErrors"] == found["UdpInErrors"] == 200 - read
