"""Ends and beginnings of connects that a program misses: others are not mistaken for them."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from tests.support.events import (
    NO_ROUTE,
    black_hole,
    connect,
    connect_into_hole,
    hears_again,
    hears_nothing,
    server,
)
from tests.support.missed import Entries, batches, put, taken
from tests.support.namespaces import namespace
from tests.support.rungs import standing, unmissed
from tests.support.scenarios import log_of, rows_of, sample_of, values

pytestmark = pytest.mark.kernel

MANY = 40
CALLED = 3  # in `sent`, as in attempt.c
PENDING, LATER = 91, 92
KEYED_BY_ADDRESS = ("fentry", "kprobe", "btf-tracepoint", "tracepoint")
BY_CALLS = KEYED_BY_ADDRESS[2:]
OF_FUNCTIONS = KEYED_BY_ADDRESS[:2]


class Stand(NamedTuple):
    """The hook on a rung, and its maps. before: our rows by port, which others may have made."""

    attachment: Attachment
    maps: dict[str, int]
    before: dict[int, dict[str, int]]

    def taken(self, port: int) -> Entries:
        """Our attempts to a port, which the programs do not know any more."""
        return taken(self.maps["pending"], lambda value: _to(value) == (os.getpid(), port))

    def told(self, port: int) -> dict[str, int]:
        """What the counters of our row have grown by, and what is under way; without zeros."""
        row, before = _by_port(self.attachment).get(port, {}), self.before.get(port, {})
        grown = {n: v - (before.get(n, 0) if n != "pending" else 0) for n, v in row.items()}
        return {name: n for name, n in grown.items() if n}


COUNTERS = ("connects", "established", "refused", "gave_up", "other", "failed", "pending")


def _by_port(attachment: Attachment) -> dict[int, dict[str, int]]:
    """Our own rows by port."""
    ours = [row for row in values(attachment) if row["pid"] == os.getpid()]
    return {row["rport"]: {name: row[name] for name in COUNTERS} for row in ours}


def _to(attempt: bytes) -> tuple[int, int]:
    """Whose it is, and its port: struct attempt."""
    pid, port = struct.unpack_from("=8xIH", attempt)
    return pid, port


@contextmanager
def _stand(modules: Modules, rung: str) -> Iterator[Stand]:
    hook = catalogue()["tcp-connect"]
    (source,) = [r.source for r in hook.ladder if r.name == rung]
    assert isinstance(source, str)
    with (
        namespace(),
        standing(modules, hook, rung=rung, passive=False) as attachment,
        ExitStack() as stack,
    ):
        black_hole()
        yield Stand(attachment, dict(modules.take(source, stack).fds), _by_port(attachment))


def _added(stand: Stand, port: int, cause: Callable[[], int]) -> tuple[dict[str, int], int]:
    """What events add to the counters of a port, and what they gave."""
    before = stand.told(port)
    given = cause()
    told = stand.told(port)
    added = {name: told.get(name, 0) - before.get(name, 0) for name in COUNTERS}
    return {name: n for name, n in added.items() if n}, given


def _unanswered(port: int, stack: ExitStack) -> None:
    for _ in range(MANY):
        stack.enter_context(connect_into_hole(port))


@pytest.mark.parametrize("rung", KEYED_BY_ADDRESS)
def test_a_socket_at_the_address_of_one_whose_end_was_missed(modules: Modules, rung: str) -> None:
    """Whether it connects or is accepted: what becomes of it is not told of the one before."""
    with _stand(modules, rung) as stand:

        def cause() -> int:
            with ExitStack() as stack:
                _unanswered(PENDING, stack)
                missed = stand.taken(PENDING)
            put(stand.maps["pending"], missed)
            with server("127.0.0.1") as port:
                assert connect("127.0.0.1", port, 2 * MANY) == 0
            return MANY - len(stand.taken(PENDING))

        added, again = unmissed(
            stand.attachment, lambda: _added(stand, PENDING, cause), lost=lambda made: made[1]
        )
    assert again, "no address was used again"
    assert added == {"connects": MANY}


@pytest.mark.parametrize("rung", KEYED_BY_ADDRESS)
def test_a_connection_whose_establishment_was_missed(modules: Modules, rung: str) -> None:
    """When it ends it has succeeded, nobody knows when: it was not given up."""
    with _stand(modules, rung) as stand, _deaf() as (listener, port):

        def cause() -> int:
            with ExitStack() as stack:
                clients = [_begun(port, stack) for _ in range(3)]
                missed = stand.taken(port)
                hears_again(listener)
                for client in clients:
                    client.settimeout(60)
                    assert client.sendall(b"x") is None
                put(stand.maps["pending"], missed)
            hears_nothing(listener)
            return len(missed)

        log_of(stand.attachment, sample_of(stand.attachment))
        added, missed = unmissed(stand.attachment, lambda: _added(stand, port, cause))
        row = next(r for r in values(stand.attachment) if r["rport"] == port)
    assert (added, missed) == ({"connects": 3, "established": 3}, 3)
    assert (row["total_ns"], sum(row["latency"])) == (0, 0)


@pytest.mark.parametrize("rung", KEYED_BY_ADDRESS)
def test_an_attempt_is_not_under_way_for_as_long_as_its_connection_lives(
    modules: Modules, rung: str
) -> None:
    """Where it was established unseen, a second ago or longer; others are."""
    with _stand(modules, rung) as stand, _deaf() as (listener, port), ExitStack() as stack:
        client = _begun(port, stack)
        missed = stand.taken(port)
        stack.enter_context(connect_into_hole(PENDING))
        hears_again(listener)
        client.settimeout(60)
        client.sendall(b"x")
        time.sleep(1)
        lost = sample_of(stand.attachment).lost
        put(stand.maps["pending"], missed)
        assert stand.told(port) == {"connects": 1}
        assert sample_of(stand.attachment).lost > lost
        assert stand.told(PENDING) == {"connects": 1, "pending": 1}


@pytest.mark.parametrize("rung", KEYED_BY_ADDRESS)
def test_the_end_of_one_that_began_unseen(modules: Modules, rung: str) -> None:
    """It is not that of the one before at its address, whose end was missed as well."""
    with _stand(modules, rung) as stand:

        def cause() -> int:
            with ExitStack() as stack:
                _unanswered(PENDING, stack)
                missed = stand.taken(PENDING)
            with ExitStack() as stack:
                _unanswered(LATER, stack)
                unseen = stand.taken(LATER)
                again = missed.keys() & unseen.keys()
                put(stand.maps["pending"], {key: missed[key] for key in again})
            return len(again)

        added, again = unmissed(
            stand.attachment, lambda: _added(stand, PENDING, cause), lost=lambda made: made[1]
        )
    assert again, "no address was used again"
    assert added == {"connects": MANY}


@pytest.mark.parametrize("rung", OF_FUNCTIONS)
def test_a_call_whose_return_was_missed(modules: Modules, rung: str) -> None:
    """What becomes of its socket says how it ended; where nothing does, nobody knows."""
    with _stand(modules, rung) as stand, _deaf() as (listener, port), ExitStack() as stack:
        client = _begun(port, stack)
        missed = stand.taken(port)
        missed |= stand.taken(PENDING)
        put(stand.maps["pending"], {key: _not_returned(value) for key, value in missed.items()})
        listener.close()
        client.settimeout(60)
        with pytest.raises(ConnectionRefusedError):
            client.sendall(b"x")
        assert stand.told(port) == {"connects": 1, "refused": 1, "failed": 1}
        stack.enter_context(connect_into_hole(PENDING))
        missed = stand.taken(PENDING)
        put(stand.maps["pending"], {key: _not_returned(value) for key, value in missed.items()})
        lost = sample_of(stand.attachment).lost
        time.sleep(1.1)
        assert stand.told(PENDING) == {"connects": 1}
        assert sample_of(stand.attachment).lost > lost


def _not_returned(attempt: bytes) -> bytes:
    return attempt[:14] + bytes([CALLED]) + attempt[15:]


@pytest.mark.parametrize("rung", BY_CALLS)
def test_a_call_of_another_kind_after_one_whose_return_was_missed(
    modules: Modules, rung: str
) -> None:
    """A connect() of a UDP socket that fails is no attempt to the address of the call before."""
    with _stand(modules, rung) as stand:
        name = ctypes.create_string_buffer(
            struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", PENDING, b"\x0a\0\0\1")
        )
        call = struct.pack("=QQIIII", ctypes.addressof(name), 0, 16, 0, 0, 0)
        put(stand.maps["calls"], {struct.pack("=I", threading.get_native_id()): call})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            assert s.connect_ex((NO_ROUTE, 9)) == errno.ENETUNREACH
        assert stand.told(PENDING) == {}


@pytest.mark.parametrize("rung", KEYED_BY_ADDRESS)
def test_connects_while_maps_are_read_in_batches(modules: Modules, rung: str) -> None:
    """All succeed: whatever is missed, none is told to have failed, or to another port."""
    with _stand(modules, rung) as stand, server("127.0.0.1") as port:
        others = _ours(stand)
        with batches(stand.maps["pending"]):
            assert connect("127.0.0.1", port, 300) == 0
        told = stand.told(port)
        assert _ours(stand) - others <= {port}
        lost = sample_of(stand.attachment).lost
    assert set(told) <= {"connects", "established", "pending"}
    assert told["connects"] - told["established"] - told.get("pending", 0) <= lost


def _ours(stand: Stand) -> set[int]:
    """The ports to which this process connects, as it is told."""
    sample = sample_of(stand.attachment)
    return {r["rport"] for r in rows_of(stand.attachment, sample) if r["pid"] == os.getpid()}


@contextmanager
def _deaf() -> Iterator[tuple[socket.socket, int]]:
    """A listener that hears nothing yet; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hears_nothing(listener)
        yield listener, int(listener.getsockname()[1])


def _begun(port: int, stack: ExitStack) -> socket.socket:
    s = stack.enter_context(socket.socket())
    s.setblocking(False)
    assert s.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS
    return s
