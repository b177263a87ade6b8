"""Ends of connections that a program on a tracepoint misses: others are not mistaken for them."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from probes.hooks import catalogue
from probes.kernel import bpf
from probes.kernel.objects import fd_field
from probes.ladder.attachment import Attachment, Modules
from tests.support.events import server
from tests.support.namespaces import namespace
from tests.support.rungs import standing, unmissed
from tests.support.scenarios import Values, values

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

MANY = 60


@contextmanager
def _connected(port: int) -> Iterator[None]:
    """So many, which are aborted together at the end."""
    with ExitStack() as stack:
        for _ in range(MANY):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(b"x")
            assert client.recv(1) == b"x"  # it is established there, too
        yield


def _entries(fd: int) -> dict[bytes, bytes]:
    size = fd_field(f"/proc/self/fdinfo/{fd}", "value_size") or 0
    found, key = {}, bpf.map_next_key(fd, None, 8)
    while key is not None:
        found[key] = bpf.map_lookup(fd, key, size) or b""
        key = bpf.map_next_key(fd, key, 8)
    return found


def _ports(attachment: Attachment) -> set[int]:
    """Those to which this process connected, as it is told."""
    return {r["port"] for r in values(attachment) if r["caller"] == os.getpid()}


def _sums(attachment: Attachment, port: int) -> Values:
    """Of both sides."""
    rows = [r for r in values(attachment) if r["port"] == port]
    return {c: sum(r[c] for r in rows) for c in ("established", "closed", "open")}


def _with_ends_missed(attachment: Attachment, open: int) -> tuple[Values, Values, set[int]]:
    """What was counted, and what should be; and the ports that nobody connected to."""
    others = _ports(attachment)
    with server("127.0.0.1") as port:
        with _connected(port):
            missed = {k: v for k, v in _entries(open).items() if struct.pack("=I", port) in v}
            for key in missed:
                bpf.map_delete(open, key)
        for key, value in missed.items():
            bpf.map_update(open, key, value)
        with _connected(port):
            now = _entries(open)
            again = sum(now.get(key) != value for key, value in missed.items())
            assert again, "no address was used again"
            told = {"established": 4 * MANY, "closed": again, "open": 4 * MANY - again}
            return _sums(attachment, port), told, _ports(attachment) - others - {port}


@pytest.mark.parametrize("rung", ["btf-tracepoint", "tracepoint"])
def test_a_socket_at_the_address_of_one_whose_end_was_missed(modules: Modules, rung: str) -> None:
    """Its connection is its own, and the one before is not open any more."""
    hook = catalogue()["tcp-life"]
    (source,) = [r.source for r in hook.ladder if r.name == rung]
    with (
        namespace(),
        standing(modules, hook, rung=rung) as attachment,
        ExitStack() as stack,
    ):
        open = modules.take(source, stack).fds["open"]
        found, told, wrong = unmissed(attachment, lambda: _with_ends_missed(attachment, open))
    assert (found, wrong) == (told, set())
