"""Ends of connections that a program on a tracepoint misses: others are not mistaken for them."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from tests.support.events import server
from tests.support.missed import entries, put, taken
from tests.support.namespaces import namespace
from tests.support.rungs import standing, unmissed
from tests.support.scenarios import Values, log_of, rows_of, sample_of, values

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
            missed = taken(open, lambda value: struct.pack("=I", port) in value)
        put(open, missed)
        with _connected(port):
            now = entries(open)
            again = sum(now.get(key) != value for key, value in missed.items())
            assert again, "no address was used again"
            told = {"established": 4 * MANY, "closed": again, "open": 4 * MANY - again}
            taken(open, lambda value: value in missed.values())
            return _sums(attachment, port), told, _ports(attachment) - others - {port}


@contextmanager
def _stand(modules: Modules, rung: str) -> Iterator[tuple[Attachment, int]]:
    """The hook on a rung, and its map of connections that are open."""
    hook = catalogue()["tcp-life"]
    (source,) = [r.source for r in hook.ladder if r.name == rung]
    with (
        namespace(),
        standing(modules, hook, rung=rung) as attachment,
        ExitStack() as stack,
    ):
        yield attachment, modules.take(source, stack).fds["open"]


@pytest.mark.parametrize("rung", ["btf-tracepoint", "tracepoint"])
def test_a_socket_at_the_address_of_one_whose_end_was_missed(modules: Modules, rung: str) -> None:
    """Its connection is its own, and the one before is not open any more."""
    with _stand(modules, rung) as (attachment, open):
        found, told, wrong = unmissed(
            attachment,
            lambda: _with_ends_missed(attachment, open),
            lost=lambda made: int(made[1]["closed"]),
        )
    assert (found, wrong) == (told, set())


@pytest.mark.parametrize("rung", ["btf-tracepoint", "tracepoint"])
def test_the_end_of_one_that_began_unseen(modules: Modules, rung: str) -> None:
    """It is not that of the one before at its address, whose end was missed as well."""
    with _stand(modules, rung) as (attachment, open):
        found = unmissed(
            attachment, lambda: _with_both_missed(attachment, open), lost=lambda made: made[0]
        )
    assert found == (found[0], found[0], [])


def _with_both_missed(attachment: Attachment, open: int) -> tuple[int, int, list[Values]]:
    """How many addresses were used again, as many as are closed; and what the log says of it."""
    with server("127.0.0.1") as port, server("127.0.0.1") as later:
        with _connected(port):
            missed = taken(open, lambda value: struct.pack("=I", port) in value)
        with _connected(later):
            unseen = taken(open, lambda value: struct.pack("=I", later) in value)
            put(open, {key: missed[key] for key in missed.keys() & unseen.keys()})
            again = len(missed.keys() & unseen.keys())
            assert again, "no address was used again"
            sample_of(attachment)  # what was logged before is not theirs
        end, log = time.monotonic() + 5, list[Values]()
        while True:  # the other end closes a moment later
            sample = sample_of(attachment)
            log += log_of(attachment, sample)
            rows = [r for r in rows_of(attachment, sample) if r["port"] == port]
            if (closed := sum(r["closed"] for r in rows)) >= again or time.monotonic() > end:
                return again, closed, [e for e in log if port in (e["lport"], e["rport"])]
            time.sleep(0.01)
