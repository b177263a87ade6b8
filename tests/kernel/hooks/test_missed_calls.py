"""Ends and beginnings of calls that a program misses: no call is told as another one."""

from __future__ import annotations

import ctypes
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from probes.custom import builder
from probes.hooks import catalogue
from probes.kernel import syscall_table
from probes.ladder.attachment import Attachment, Modules
from probes.model import Hook
from probes.toolkit.libraries import own_libc
from tests.support.missed import Entries, entries, put, taken
from tests.support.namespaces import namespace, run
from tests.support.rungs import standing
from tests.support.scenarios import Values, sample_of, values

pytestmark = pytest.mark.kernel

Stood = tuple[Attachment, dict[str, int]]
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def _stand(modules: Modules, hook: Hook, rung: str) -> Iterator[Stood]:
    """The hook on a rung, and its maps."""
    (found,) = [r for r in hook.ladder if r.name == rung]
    with standing(modules, hook, rung=rung, passive=False) as attachment, ExitStack() as stack:
        yield attachment, dict(modules.take(found.source_for(None), stack).fds)


def _thread() -> int:
    return os.getpid() << 32 | threading.get_native_id()


def _mine(attachment: Attachment) -> Values:
    rows = [r for r in values(attachment) if r["pid"] == os.getpid()]
    assert len(rows) < 2
    return rows[0] if rows else {}


# -- hooks of the user's own -----------------------------------------------------------------

_COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def _sorted(within: Callable[[], object]) -> None:
    """One call of qsort; what is called within."""
    two = (ctypes.c_int * 2)(1, 2)
    _libc.qsort(two, 2, 4, _COMPARE(lambda _, __: (within() and 0) or 0))


def _deeper(call: Callable[[], object]) -> None:
    """The same further down the stack."""
    one = (ctypes.c_int * 1)(1)
    _libc.bsearch(one, one, 1, 4, _COMPARE(lambda _, __: (call() and 0) or 0))


@pytest.mark.anywhere
def test_a_call_that_begins_unseen_where_an_earlier_end_was_missed(modules: Modules) -> None:
    """It has no time: neither the earlier one's, nor that of a call around it."""
    hook = builder.hook(f"uprobe:{own_libc()}:qsort,latency,where=pid=={os.getpid()}")
    missed: Entries = {}
    with _stand(modules, hook, "uprobe") as (attachment, maps):

        def keep() -> None:
            missed.update(entries(maps["under_way"], _of_this_thread))

        def counted() -> tuple[int, int]:
            rows = values(attachment)
            return sum(r["events"] for r in rows), sum(r["timed"] for r in rows)

        _sorted(keep)
        assert counted() == (1, 1)
        put(maps["under_way"], missed)
        _deeper(lambda: _sorted(lambda: put(maps["under_way"], missed)))
        assert counted() == (1, 1)
        lost = sample_of(attachment).lost
        _sorted(lambda: None)
        assert counted() == (2, 2)
        assert sample_of(attachment).lost == lost + 1


def _of_this_thread(value: bytes) -> bool:
    return struct.unpack_from("=Q", value) == (_thread(),)


@pytest.mark.anywhere
def test_calls_are_timed_however_many_ends_were_missed(modules: Modules) -> None:
    hook = builder.hook(f"uprobe:{own_libc()}:qsort,latency,where=pid=={os.getpid()}")
    with _stand(modules, hook, "uprobe") as (attachment, maps):
        for turn in range(20):
            missed: Entries = {}
            _sorted(lambda: missed.update(entries(maps["under_way"], _of_this_thread)))  # noqa: B023
            put(maps["under_way"], missed)
            (row,) = values(attachment)
            assert (row["events"], row["timed"]) == (turn + 1, turn + 1)


# -- system calls ----------------------------------------------------------------------------


@pytest.mark.anywhere
@pytest.mark.parametrize("rung", ["btf-tracepoint", "raw-tracepoint", "tracepoint"])
def test_the_end_of_a_call_is_not_that_of_another(modules: Modules, rung: str) -> None:
    """Of a call that began unseen, where an earlier call's end was missed: it has no time."""
    number, other = (syscall_table.number(name) for name in ("msgrcv", "msgctl"))
    assert number is not None
    assert other is not None
    queue = _libc.msgget(0, 0o600)
    with _stand(modules, catalogue()["syscalls"], rung) as (attachment, maps):
        before = _calls(attachment)
        receiver = threading.Thread(target=_receive, args=(queue,))
        receiver.start()
        while not (waiting := taken(maps["begun"], lambda v: _begun(v)[1] == number)):
            time.sleep(0.01)
        put(maps["begun"], {k: struct.pack("=QII", 1, other, 0) for k in waiting})
        text = ctypes.create_string_buffer(struct.pack("@l", 1) + b"x")
        assert _libc.msgsnd(queue, text, 1, 0) == 0
        receiver.join()
        _libc.msgctl(queue, 0, None)
        after = _calls(attachment)
    assert after["msgrcv"] - before.get("msgrcv", 0) == 1
    assert after["msgctl"] - before.get("msgctl", 0) == 1


def _receive(queue: int) -> None:
    text = ctypes.create_string_buffer(64)
    assert _libc.msgrcv(queue, text, 8, 0, 0) == 1


def _begun(value: bytes) -> tuple[int, int]:
    at, id = struct.unpack_from("=QI", value)
    return at, id


def _calls(attachment: Attachment) -> dict[str, int]:
    return {r["syscall"]: r["calls"] for r in values(attachment)}


@pytest.mark.anywhere
def test_no_other_call_is_the_end_of_an_open(modules: Modules) -> None:
    path = ctypes.create_string_buffer(b"/nowhere")
    with _stand(modules, catalogue()["opens"], "btf-tracepoint") as (attachment, maps):
        lost = sample_of(attachment).lost
        begun = {struct.pack("=Q", _thread()): struct.pack("=Q", ctypes.addressof(path))}
        put(maps["calls"], begun)  # and that call ends
        os.getppid()
        sample = sample_of(attachment)
        assert "/nowhere" not in {entry[-1] for entry in sample.log}
        assert sample.lost > lost


# -- functions -------------------------------------------------------------------------------


def test_datagrams_are_counted_after_a_call_whose_return_was_missed(modules: Modules) -> None:
    """Of udp_sendmsg within udpv6_sendmsg."""
    with namespace(), _stand(modules, catalogue()["sent"], "kprobe") as (attachment, maps):
        run("ip", "link", "set", "lo", "up")
        put(maps["inside"], {struct.pack("=Q", _thread()): struct.pack("=Q", 1)})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(3):
                s.sendto(b"x", ("127.0.0.1", 9))
        rows = [r for r in values(attachment) if r["pid"] == os.getpid()]
    assert [(r["sends"], r["bytes"]) for r in rows] == [(3, 3)]


@pytest.mark.anywhere
def test_a_look_up_after_one_that_never_returned(modules: Modules) -> None:
    with _stand(modules, catalogue()["dns"], "uprobe") as (attachment, maps):
        before = struct.pack("=QQ64s", 1, 1, b"before")
        lost = sample_of(attachment).lost
        put(maps["under_way"], {struct.pack("=Q", _thread()): before})
        assert socket.getaddrinfo("127.0.0.1", 9)
        assert _mine(attachment)["host"] == "127.0.0.1"
        assert sample_of(attachment).lost == lost + 1


@pytest.mark.anywhere
def test_a_handshake_whose_last_end_was_missed_was_not_given_up(modules: Modules) -> None:
    """It may have succeeded; nobody knows."""
    context = ssl.create_default_context()
    with _stand(modules, catalogue()["tls"], "uprobe") as (attachment, maps):

        def begun(undecided: int) -> None:
            session = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="a.b")
            with suppress(ssl.SSLWantReadError):
                session.do_handshake()
            found = entries(maps["under_way"])
            put(
                maps["under_way"],
                {k: v[:8] + struct.pack("=Q", undecided) for k, v in found.items()},
            )

        begun(1)
        assert _mine(attachment)["failed"] == 1
        lost = sample_of(attachment).lost
        begun(0)
        assert _mine(attachment)["failed"] == 1
        assert sample_of(attachment).lost == lost + 1
