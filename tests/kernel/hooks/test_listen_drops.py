"""What no tracepoint has is on every rung of `drops` as nstat counts it, and whose it was."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from probes.analysis.drop_stages import function_of
from probes.hooks import catalogue
from probes.hooks.drops import counters
from probes.hooks.drops.counters import CounterUnit, Freeing
from probes.kernel import procfs
from probes.ladder import features
from probes.ladder.attachment import Attachment, Modules
from tests.support import listening
from tests.support.listening import (
    MINE,
    Peer,
    connecting,
    cookies,
    full_buffer,
    increase,
    settled,
)
from tests.support.namespaces import as_json, namespace
from tests.support.rungs import stood
from tests.support.scenarios import Values, values

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

LADDER = [rung.name for rung in catalogue()["drops"].ladder]
PORT, OTHER, DATAGRAMS, PRUNED = 1031, 1032, 1033, 1034
CLIENTS = 12


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def on(modules: Modules) -> Iterator[Callable[[str], Attachment]]:
    """Attaches `drops` on a rung; skips where this kernel does not give it."""
    with ExitStack() as stack:

        def attach(rung: str) -> Attachment:
            attachment = Attachment(catalogue()["drops"], modules)
            stack.callback(attachment.detach)
            found = next(r for r in attachment.hook.ladder if r.name == rung)
            refused = features.veto(found, 0)
            if refused is not None:
                pytest.skip(str(refused))
            stood(attachment.climb(pinned=rung))
            return attachment

        yield attach


Rows = list[tuple[Values, int]]


class Growing:
    """What a rung's rows and nstat's counters add, from now on."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._nstat = settled()
        self._rows = self._read()

    def _read(self) -> dict[tuple[Any, ...], tuple[Values, int]]:
        keys = ("interface", "reason", "location", "protocol", "dport", "netns")
        return {tuple(r[k] for k in keys): (r, r["packets"]) for r in values(self._attachment)}

    def now(self, *held: int) -> tuple[Rows, dict[str, int]]:
        """Both, read at a moment when nothing is counted. held: ports whose process is to be known:
        looking for it rests now and then, longer where the machine is busy."""
        for _ in range(100):
            nstat = settled()
            rows = self._read()
            named = {row["dport"] for row, _ in rows.values() if row["pid"]}
            if procfs.net_counters() == nstat and named >= {*held}:
                break
        before = {key: packets for key, (_, packets) in self._rows.items()}
        grown = [(r, n - before.get(key, 0)) for key, (r, n) in rows.items()]
        return [(r, n) for r, n in grown if n and r["netns"] is None], increase(self._nstat, nstat)


def _sum(rows: Rows, **wanted: object) -> int:
    return sum(n for r, n in rows if all(r[k] == v for k, v in wanted.items()))


@pytest.mark.parametrize("rung", LADDER)
def test_a_full_accept_queue_is_the_listener_s(on: Callable[[str], Attachment], rung: str) -> None:
    """As many as nstat, by port and process; another listener, who has room, has none."""
    with listening.listening(OTHER, 64), listening.listening(PORT), listening.connecting(OTHER, 3):
        growing = Growing(on(rung))
        with connecting(PORT, CLIENTS):
            rows, nstat = growing.now(PORT)
    assert nstat["TcpExtListenDrops"] >= CLIENTS - 2
    assert _sum(rows, location="TcpExtListenDrops") == nstat["TcpExtListenDrops"]
    assert _sum(rows, dport=PORT, counts="packets") == nstat["TcpExtListenDrops"]
    assert _sum(rows, dport=OTHER) == 0
    ((row, _),) = [(r, n) for r, n in rows if r["dport"] == PORT]
    assert (row["pid"], row["protocol"], row["interface"]) == (os.getpid(), "tcp", "-")
    assert row["comm"] == procfs.comm(os.getpid())
    assert row["reason"] == "accept queue full"


@pytest.mark.parametrize("rung", LADDER)
def test_an_ipv6_listener_s_overflow_is_its_own(on: Callable[[str], Attachment], rung: str) -> None:
    """The counter is of both families."""
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this kernel has no IPv6")
    with listening.listening(PORT, host="::1"):
        growing = Growing(on(rung))
        with connecting(PORT, CLIENTS, host="::1"):
            rows, nstat = growing.now(PORT)
    assert _sum(rows, dport=PORT, pid=os.getpid()) == nstat["TcpExtListenDrops"] > 0


@pytest.mark.parametrize("rung", LADDER)
def test_no_rung_knows_less_than_counters(on: Callable[[str], Attachment], rung: str) -> None:
    """Everything that a counter tells is a row under its name, or under the kernel's own reason."""
    attachment = on(rung)
    growing = Growing(attachment)
    with ExitStack() as stack:
        _cause_everything(stack)
        rows, nstat = growing.now(PORT, OTHER, DATAGRAMS)
    wanted = {
        "TcpExtListenDrops", "TcpExtListenOverflows", "TcpExtTCPReqQFullDrop",
        "TcpExtTCPReqQFullDoCookies", "TcpExtSyncookiesSent", "TcpExtSyncookiesRecv",
        "TcpExtSyncookiesFailed", "TcpExtPruneCalled", "TcpExtOfoPruned",
        "UdpInErrors", "UdpRcvbufErrors", "UdpNoPorts", "IpOutNoRoutes",
    }  # fmt: skip
    assert wanted <= nstat.keys(), nstat
    reasons = None if "no-reason" in rung or rung == "counters" else counters.known_reasons()
    shown = counters.shown(reasons, traced=rung != "counters")
    for name in nstat.keys() & counters.ALL.keys():
        counter = counters.ALL[name]
        told = sum(n for r, n in rows if counter.told_by(r["reason"], function_of(r["location"])))
        if name not in shown:
            assert told >= nstat[name], name
        elif counter.freed is Freeing.SOME and counter.reasons:
            assert _sum(rows, location=name) + told == nstat[name], name
        else:
            assert _sum(rows, location=name) == nstat[name], name
    owned = {r["dport"]: r["pid"] for r, _ in rows if r["pid"]}
    assert owned.keys() >= {PORT, OTHER, DATAGRAMS}
    assert set(owned.values()) == {os.getpid()}


def _cause_everything(stack: ExitStack) -> None:
    """A full accept queue, a full request queue with and without cookies, a full buffer, a queue
    that is pruned, a port where nobody listens, an address that nothing leads to."""
    stack.enter_context(listening.listening(PORT))
    stack.enter_context(connecting(PORT, CLIENTS))
    peer = stack.enter_context(closing(Peer()))
    stack.enter_context(listening.listening(OTHER, 2, MINE))
    cookies(0)
    assert len(peer.syn(OTHER, CLIENTS)) < CLIENTS
    cookies(1)
    answers = peer.syn(OTHER, CLIENTS)
    assert len(answers) == CLIENTS
    peer.ack(OTHER, answers[:1])
    peer.ack(OTHER, [(mine, seq + 77) for mine, seq in answers[1:3]])
    stack.enter_context(listening.listening(PRUNED, 9, MINE, room=4096))
    for _ in range(2):
        peer.disorder(PRUNED, 1500)
    stack.enter_context(full_buffer(DATAGRAMS, 60))
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        for address in [("127.0.0.1", 1039)] * 5 + [("198.51.100.1", 9)] * 7:
            with suppress(OSError):
                s.sendto(b"nobody", address)


@pytest.mark.parametrize("rung", LADDER)
def test_no_request_is_counted_twice(on: Callable[[str], Attachment], rung: str) -> None:
    """Answers that find the queue full are freed, with a reason, and counted like requests."""
    if "no-reason" in rung or "TCP_LISTEN_OVERFLOW" not in counters.known_reasons():
        pytest.skip("nothing tells such an answer from other segments")
    with closing(Peer()) as peer, listening.listening(PORT, 4, MINE):
        growing = Growing(on(rung))
        waiting = peer.syn(PORT, 4)
        for _ in range(3):
            peer.ack(PORT, peer.syn(PORT, 1))
        with_cookies = peer.syn(PORT, 3)
        peer.ack(PORT, waiting)
        peer.ack(PORT, with_cookies)
        peer.syn(PORT, 6)
        rows, nstat = growing.now()
    told = _sum(rows, reason="TCP_LISTEN_OVERFLOW")
    assert _sum(rows, dport=PORT, counts="packets") == nstat["TcpExtListenDrops"] > 0
    assert bool(told) is (rung != "counters")


@contextmanager
def _elsewhere(port: int) -> Iterator[subprocess.Popen[str]]:
    """A process in a network namespace of its own: when told, its listener overflows."""
    script = (
        "import socket\n"
        f"s = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen(0)\n"
        "print('ready', flush=True); input()\n"
        "held = [socket.socket() for _ in range(9)]\n"
        "for c in held: c.setblocking(False); c.connect_ex(s.getsockname())\n"
        "print('done', flush=True); input()\n"
    )
    program = f'ip link set lo up && exec {sys.executable} -c "$SCRIPT"'
    command, told = ["unshare", "--net", "sh", "-c", program], os.environ | {"SCRIPT": script}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=told) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


@pytest.mark.parametrize("rung", LADDER)
def test_a_listener_of_another_namespace_is_told_with_it(
    on: Callable[[str], Attachment], rung: str
) -> None:
    """By the namespace's number, its port and its process; this namespace has nothing of it."""
    with _elsewhere(PORT) as process:
        inode = Path(f"/proc/{process.pid}/ns/net").stat().st_ino
        attachment = on(rung)
        for _ in range(20):  # on a busy machine one reading does not look at all processes
            attachment.read()
        _tell(process)
        time.sleep(0.2)
        theirs = as_json("nsenter", f"--net=/proc/{process.pid}/ns/net", "nstat", "-aszj")["kernel"]
        for _ in range(100):
            rows = [r for r in values(attachment) if r["location"] == "TcpExtListenDrops"]
            mine = [r for r in rows if r["netns"] == inode]
            if mine and all(r["pid"] for r in mine):
                break
            time.sleep(0.2)
    assert [r for r in rows if r["dport"] == PORT and r["netns"] != inode] == []
    assert sum(r["packets"] for r in mine) in range(7, theirs["TcpExtListenDrops"] + 10)
    assert {(r["dport"], r["pid"], r["interface"]) for r in mine} == {(PORT, process.pid, "-")}


def test_a_namespace_that_came_later_is_counted_from_its_beginning(
    on: Callable[[str], Attachment],
) -> None:
    """What it counted before it was seen first is not lost."""
    attachment = on("counters")
    rung = next(r for r in LADDER if r != "counters")
    with suppress(pytest.skip.Exception):
        attachment = on(rung)
    attachment.read()
    with _elsewhere(PORT) as process:
        inode = Path(f"/proc/{process.pid}/ns/net").stat().st_ino
        _tell(process)
        time.sleep(0.2)
        attachment.read()
        rows = [r for r in values(attachment) if r["netns"] == inode]
    assert sum(r["packets"] for r in rows if r["location"] == "TcpExtListenDrops") >= 7


def test_a_count_stays_when_its_listener_has_gone(on: Callable[[str], Attachment]) -> None:
    """No sum goes back, and a new listener on the port goes on with it."""
    attachment = on(LADDER[0])
    counted = []
    for _ in range(2):
        with listening.listening(PORT), connecting(PORT, CLIENTS):
            counted.append(_of_port(attachment))
        counted.append(_of_port(attachment))
    assert counted == sorted(counted)
    assert 0 < counted[1] < counted[3]


def _of_port(attachment: Attachment) -> int:
    settled()
    return sum(r["packets"] for r in values(attachment) if r["dport"] == PORT)


def test_what_lost_no_packet_or_is_in_another_row_says_so() -> None:
    """So that whoever adds up takes each packet once."""
    for reasons, traced in ((None, False), (None, True), (counters.known_reasons(), True)):
        shown = counters.shown(reasons, traced=traced)
        for name, counts in shown.items():
            counter = counters.ALL[name]
            assert (counts is CounterUnit.EVENTS) is counter.event
            if counter.within and counter.within in shown:
                assert counts is CounterUnit.AGAIN


def test_namespaces_that_are_not_followed_are_said(
    on: Callable[[str], Attachment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are more than can be read at a time: how many is in a row."""
    monkeypatch.setattr(counters.Namespaces, "MAX_FOLLOWED", 0)
    with _elsewhere(PORT):
        attachment = on("counters")
        attachment.read()
        rows = values(attachment)
    ((number, counts),) = [
        (r["packets"], r["counts"]) for r in rows if r["reason"] == "namespaces not followed"
    ]
    assert number >= 1
    assert counts == "events"
