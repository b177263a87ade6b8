"""Who sent what was dropped on its way out: one process, if nearly all of it was its own."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from probes.hooks.drops.senders import Senders
from probes.kernel import procfs

UDP = 0x0800 << 8 | socket.IPPROTO_UDP
TCP = 0x0800 << 8 | socket.IPPROTO_TCP
DNS = "udp", 53
NOBODY_S = 1
"""A port that none of these sockets has."""


@pytest.fixture
def source() -> Iterator[int]:
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


def pid(senders: Senders, *found: tuple[int, ...], to: tuple[str, int] = DNS) -> int | None:
    """Who is named for a port after looks at the same counts."""
    until = time.monotonic() + 10
    while True:
        senders.look(found)
        owner = senders.of(to)
        if owner is not None or time.monotonic() > until:
            return owner.pid if owner is not None else None
        time.sleep(0.05)


def test_the_process_that_has_the_socket(source: int) -> None:
    here = procfs.netns()
    assert pid(Senders(here), (here, UDP, source, 53, 10)) == os.getpid()


def test_a_connection_too() -> None:
    here = procfs.netns()
    with socket.create_server(("127.0.0.1", 0)) as server, closing(socket.socket()) as client:
        client.connect(server.getsockname())
        port = client.getsockname()[1]
        assert pid(Senders(here), (here, TCP, port, 443, 1), to=("tcp", 443)) == os.getpid()


def test_nobody_of_another_namespace_has_our_ports(source: int) -> None:
    senders = Senders(procfs.netns())
    senders.look([(4711, UDP, source, 53, 10)])
    assert senders.of(DNS) is None


def test_who_sent_a_part_of_it_only_is_not_named(source: int) -> None:
    """Until all that is dropped is its own: the latest counts."""
    here = procfs.netns()
    senders = Senders(here)
    assert pid(senders, (here, UDP, source, 53, 100)) == os.getpid()
    mixed = [(here, UDP, source, 53, 110), (here, UDP, NOBODY_S, 53, 10)]
    senders.look(mixed)
    assert senders.of(DNS) is None
    senders.look(mixed)
    assert senders.of(DNS) is None, "nothing new"
    assert pid(senders, (here, UDP, source, 53, 120), mixed[1]) == os.getpid()


def test_what_has_gone_from_the_map_is_forgotten(source: int) -> None:
    here = procfs.netns()
    senders = Senders(here)
    assert pid(senders, (here, UDP, source, 53, 100)) == os.getpid()
    senders.look([])
    assert senders.of(DNS) is None
    assert (senders._latest, senders._inodes, senders._packets) == ({}, {}, {})
