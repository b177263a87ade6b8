"""Maps that are full: what finds no room is counted, and no sum goes back."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.custom import builder
from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from probes.toolkit.libraries import own_libc
from tests.support.events import connect, exchange, server
from tests.support.maps import small
from tests.support.namespaces import namespace, send, veth
from tests.support.rungs import standing
from tests.support.scenarios import rows_of, sample_of

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
Stand = Callable[..., Attachment]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def stand(modules: Modules) -> Iterator[Stand]:
    with ExitStack() as stack:
        yield lambda hook, target=None, index=0: stack.enter_context(
            standing(modules, hook, target, index)
        )


def _ethertypes(interface: str, kinds: int, each: int) -> int:
    """Frames of so many EtherTypes that nobody handles; how many."""
    for kind in range(kinds):
        ethertype = struct.pack("!H", 0x9101 + kind)
        send(interface, each, b"\xff" * 6 + b"\x02" * 6 + ethertype + b"\0" * 46)
    return kinds * each


def _sum(attachment: Attachment, column: str, **wanted: object) -> int:
    rows = rows_of(attachment, sample_of(attachment))
    return sum(r[column] for r in rows if all(r[k] == v for k, v in wanted.items()))


def test_kinds_of_packets_beyond_what_fits_are_counted(stand: Stand) -> None:
    index, _ = veth()
    hook = small(catalogue()["protocols"], "packet-socket", rows=8)
    attachment = stand(hook, "v0", index)
    sent = _ethertypes("v1", 40, 3)
    sample = sample_of(attachment)
    assert sample.lost > 0
    assert _sum(attachment, "packets", direction="in") + sample.lost == sent


def test_drops_that_were_thrown_out_are_in_a_row_of_others(stand: Stand) -> None:
    """Other namespaces' drops are among them."""
    veth()
    attachment = stand(small(catalogue()["drops"], "btf-tracepoint", rows=16))
    seen = []
    for _ in range(3):
        _ethertypes("v1", 60, 2)
        seen.append(_sum(attachment, "packets", counts="packets"))
    assert seen == sorted(seen)
    assert seen[-1] >= 3 * 120
    assert _sum(attachment, "packets", reason="(others)") > 0


def test_lives_that_were_thrown_out_are_in_a_row_of_others(stand: Stand) -> None:
    """Other namespaces' connections are among them."""
    attachment = stand(small(catalogue()["tcp-life"], "btf-tracepoint", rows=8))
    before = _sum(attachment, "established")
    seen = []
    with ExitStack() as listening:
        at = [listening.enter_context(server("127.0.0.1")) for _ in range(30)]
        for port in at:
            connect("127.0.0.1", port, 2)
            seen.append(_sum(attachment, "established"))
    assert seen == sorted(seen)
    assert seen[-1] - before >= 120, "both ends of 60"
    assert _sum(attachment, "closed") >= 60
    assert _sum(attachment, "established", name="(others)") > 0


def test_calls_that_block_longest_are_not_the_first_to_go(stand: Stand, tmp_path: Path) -> None:
    """Opens that wait for a reader: those that found room are counted when they end."""
    hook, fifos = small(catalogue()["opens"], "tracepoint", calls=256), []
    attachment = stand(hook)
    for n in range(300):
        fifos.append(tmp_path / str(n))
        os.mkfifo(fifos[-1])
    opened: list[int] = []
    threads = [
        threading.Thread(target=lambda f=f: opened.append(os.open(f, os.O_WRONLY))) for f in fifos
    ]
    for thread in threads:
        thread.start()
    # All of them are under way by then.
    opened.extend([os.open(fifo, os.O_RDONLY | os.O_NONBLOCK) for fifo in fifos])
    for thread in threads:
        thread.join()
    for fd in opened:
        os.close(fd)
    sample = sample_of(attachment)
    mine = sum(r["opens"] for r in rows_of(attachment, sample) if r["pid"] == os.getpid())
    assert sample.lost >= 44
    assert 600 - sample.lost <= mine < 600 - 44 + 50


def test_calls_that_are_timed_beyond_what_fits_are_counted_as_lost(stand: Stand) -> None:
    spec = f"uprobe:{own_libc()}:sleep,latency,where=pid=={os.getpid()}"
    attachment = stand(small(builder.hook(spec), "uprobe", under_way=2))
    libc, before = ctypes.CDLL(None), sample_of(attachment).lost
    threads = [threading.Thread(target=libc.sleep, args=(1,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sample = sample_of(attachment)
    assert _sum(attachment, "events") == 2
    assert sample.lost - before == 3
    again = threading.Thread(target=libc.sleep, args=(0,))
    again.start()
    again.join()
    assert _sum(attachment, "events") == 3, "threads that have ended made room"


def test_connections_beyond_what_fits_are_said_to_be_lost(stand: Stand) -> None:
    """And those that are there longest keep their rows."""
    attachment = stand(small(catalogue()["tcp-rtt"], "btf-tracepoint", rows=1))
    with server("127.0.0.1") as port, ExitStack() as open:
        for _ in range(3):
            talking = open.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(5):
                exchange(talking, 10)
        assert sample_of(attachment).lost >= 10


def test_a_target_that_has_no_room_is_refused(stand: Stand, modules: Modules) -> None:
    """An entry is made when it is attached; what never had one would count nothing."""
    index, peer = veth()
    hook = small(catalogue()["tc-ingress"], "tcx", rows=1)
    first = stand(hook, "v0", index)
    send("v1", 3)
    assert _sum(first, "packets") == 3
    second = Attachment(hook, modules, "v1", peer)
    assert second.climb().state is State.FAILED
    assert second.status.refused[0].error == "E2BIG"
    first.detach()
    assert second.climb().state is State.ATTACHED
    second.detach()
