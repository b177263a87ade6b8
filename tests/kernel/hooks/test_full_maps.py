"""Maps that are full: what finds no room is counted, and no sum goes back."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.custom import builder
from probes.hooks import catalogue
from probes.hooks.tcp_connect.readers import NEVER_SENT_NS
from probes.kernel.procfs import net_counters as nstat_counters
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from probes.toolkit.libraries import own_libc
from tests.support.drop_causes import ipv4
from tests.support.events import connect, exchange, server, talk
from tests.support.maps import small
from tests.support.namespaces import HERE, namespace, run, send, veth
from tests.support.rungs import standing
from tests.support.scenarios import rows_of, sample_of, values

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
Stand = Callable[..., Attachment]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def _on_one_cpu() -> Iterator[None]:
    """Each CPU throws out what it inserted itself, and keeps from what others did."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    yield
    os.sched_setaffinity(0, cpus)


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


def test_an_interface_that_is_let_go_of_leaves_its_room_to_others(
    stand: Stand,
) -> None:
    index, _ = veth()
    other, _ = veth("w0", "w1")
    hook = small(catalogue()["protocols"], "packet-socket", rows=16)
    first, second = stand(hook, "v0", index), stand(hook, "w0", other)
    assert _ethertypes("v1", 16, 1)
    assert _sum(first, "packets") == 16
    first.detach()
    sent = _ethertypes("w1", 16, 1)
    assert _sum(second, "packets", direction="in") == sent
    assert sample_of(second).lost == 0


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


@pytest.mark.usefixtures("_on_one_cpu")
def test_what_was_thrown_out_is_not_shown_by_its_counter_as_well(stand: Stand) -> None:
    """Both count them: kfree_skb with a reason, and the kernel's own counter (nstat)."""
    veth()
    run("ip", "addr", "add", f"{HERE}/24", "dev", "v0")
    attachment = stand(small(catalogue()["drops"], "btf-tracepoint", rows=16))
    wrong = struct.pack("!BBHI", 8, 0, 1, 0)  # an echo request's sum is not that
    send("v1", 9, b"\xff" * 6 + b"\x02" * 6 + ipv4(HERE, wrong, 1))
    assert nstat_counters()["IcmpInErrors"] == 9
    assert _sum(attachment, "packets", reason="ICMP_CSUM") == 9
    for _ in range(3):
        _ethertypes("v1", 60, 2)
        assert _sum(attachment, "packets", location="IcmpInErrors") == 0
    assert _sum(attachment, "packets", reason="ICMP_CSUM") == 0, "it was thrown out"


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


def test_checks_that_were_thrown_out_are_among_the_others(stand: Stand) -> None:
    """Also where a rung counts into some of a row's counters only."""
    attachment = stand(small(catalogue()["lsm"], "tracepoint", rows=8))
    seen = []
    for _ in range(4):
        for _ in range(15):
            subprocess.run(["true"], check=True)
        seen.append(_sum(attachment, "checks"))
    assert seen == sorted(seen)
    assert seen[-1] >= 60 * 3, "it is executed, and opens its libraries"
    assert _sum(attachment, "checks", comm="(others)") > 0


def test_no_more_are_closed_than_were_open(stand: Stand) -> None:
    """A row that begins anew knows nothing of those that were established before."""
    attachment = stand(small(catalogue()["tcp-life"], "btf-tracepoint", rows=8))
    with ExitStack() as listening:
        at = [listening.enter_context(server("127.0.0.1")) for _ in range(30)]
        with ExitStack() as open:
            for port in at:
                open.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert _sum(attachment, "open") >= 60, "both ends"
        found = [r["open"] for r in rows_of(attachment, sample_of(attachment))]
    assert min(found) >= 0


def _fail_at_once(hosts: range) -> None:
    for host in hosts:
        with socket.socket() as s:
            assert s.connect_ex((f"192.0.2.{host}", 9)) == errno.ENETUNREACH


def test_attempts_that_no_program_sees_fail_are_counted_once(stand: Stand) -> None:
    """Other processes' may be among the others."""
    attachment = stand(small(catalogue()["tcp-connect"], "sock_ops", rows=8))
    seen = []
    for turn in range(3):
        _fail_at_once(range(1, 41))
        sample_of(attachment)
        time.sleep(NEVER_SENT_NS / 1e9)
        rows = rows_of(attachment, sample_of(attachment))
        seen.append(tuple(sum(r[column] for r in rows) for column in ("connects", "failed")))
        assert seen[-1][1] >= 40 * (turn + 1)
        assert seen[-1][0] >= seen[-1][1]
    assert seen == sorted(seen)


def test_an_attempt_on_the_same_socket_is_one_more(stand: Stand) -> None:
    attachment = stand(small(catalogue()["tcp-connect"], "sock_ops"))
    with socket.socket() as s:
        for host in range(1, 6):
            assert s.connect_ex((f"192.0.2.{host}", 9)) == errno.ENETUNREACH
    time.sleep(NEVER_SENT_NS / 1e9)
    rows = [r for r in rows_of(attachment, sample_of(attachment)) if r["pid"] == os.getpid()]
    assert {(r["connects"], r["failed"]) for r in rows if r["raddr"] != "127.0.0.1"} == {(1, 1)}


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


def test_open_connections_beyond_what_fits_are_polled(stand: Stand) -> None:
    """They have no samples, and none of their callbacks was asked for."""
    with server("127.0.0.1") as port, ExitStack() as open:
        old = [open.enter_context(talk("127.0.0.1", port, 3)) for _ in range(3)]
        attachment = stand(small(catalogue()["tcp-rtt"], "sock_ops-iter", rows=2))
        for connection in old:
            exchange(connection, 10)
        found = [r for r in values(attachment) if port in (r["lport"], r["rport"])]
    assert len(found) == 2 * len(old), "both ends"
    assert all(r["samples"] is None and r["srtt_us"] for r in found if r["from"] == "sock_diag")
    assert sum(r["from"] == "sock_ops" for r in found) <= 2


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
