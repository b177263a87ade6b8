"""What somebody waited for, and what had done its work: each event beside the kernel's counters."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.analysis.classes import CLOSED, DropClass, class_of, is_lost
from probes.hooks import catalogue
from probes.kernel import capabilities
from probes.ladder.attachment import Attachment, Modules
from tests.support.events import connect, free_port
from tests.support.namespaces import HERE, namespace, run, veth
from tests.support.out_of_order import ACK, RST, Peer
from tests.support.rungs import standing
from tests.support.scenarios import Values, values

pytestmark = pytest.mark.kernel

N = 40
NOBODY = "192.0.2.50"
LADDER = [rung.name for rung in catalogue()["drops"].ladder if rung.source]
Classes = Counter[DropClass]
Drops = Callable[[str], Attachment]


@pytest.fixture
def drops(modules: Modules) -> Iterator[Drops]:
    """Attaches `drops` on a rung, in a network namespace of the test's own."""
    with namespace(), ExitStack() as stack:
        yield lambda rung: stack.enter_context(standing(modules, "drops", rung=rung))


def _classes(rows: list[Values]) -> Classes:
    found: Classes = Counter()
    for row in rows:
        found[class_of(row)] += row["packets"]
    return found


def _of_port(attachment: Attachment, *ports: int) -> list[Values]:
    return [row for row in values(attachment) if row["dport"] in ports]


def _netstat(name: str) -> int:
    """A counter as nstat has it: group and name."""
    text = "".join(Path(f"/proc/thread-self/net/{f}").read_text() for f in ("netstat", "snmp"))
    lines = [line.split() for line in text.splitlines()]
    for names, numbers in zip(lines[::2], lines[1::2], strict=True):
        counters = dict(zip(names[1:], numbers[1:], strict=True))
        if name in (keys := {names[0][:-1] + key: key for key in counters}):
            return int(counters[keys[name]])
    raise AssertionError(name)


def _answer(server: socket.socket, times: int, *, first: bool) -> None:
    """Answers, and closes first, or after the client."""
    for _ in range(times):
        connection, _ = server.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"answer")
            while not first and connection.recv(100):
                pass


def _ask(port: int, times: int, *, first: bool) -> None:
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(b"question")
            while s.recv(100) and not first:
                pass


@pytest.mark.parametrize("rung", LADDER)
def test_connections_that_are_closed_in_order_lose_nothing(drops: Drops, rung: str) -> None:
    """Case 04b, whoever closes first."""
    attachment = drops(rung)
    ports = []
    for server_first in (True, False):
        with socket.create_server(("127.0.0.1", 0)) as server:
            ports.append(server.getsockname()[1])
            thread = threading.Thread(
                target=_answer, args=(server, N), kwargs={"first": server_first}, daemon=True
            )
            thread.start()
            _ask(ports[-1], N, first=not server_first)
            thread.join(10)
    time.sleep(0.2)
    rows = [r for r in values(attachment) if r["interface"] == "lo" and is_lost(r)]
    assert not rows
    assert not any(_netstat(f"TcpExt{name}") for name in ("TCPAbortOnData", "TCPAbortOnClose"))


@pytest.mark.parametrize("rung", LADDER)
def test_what_a_closed_socket_had_not_read_is_ordinary(drops: Drops, rung: str) -> None:
    """Datagrams that a process left in its queue when it closed the socket."""
    attachment = drops(rung)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader:
        reader.bind(("127.0.0.1", 0))
        port = reader.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(N):
                sender.sendto(b"unread", ("127.0.0.1", port))
    assert _classes(_of_port(attachment, port)) in ({}, {DropClass.ORDINARY: N})


@pytest.mark.parametrize("rung", LADDER)
def test_what_a_closed_capture_had_not_read_is_ordinary(drops: Drops, rung: str) -> None:
    """The queue is freed by a function that all have in common: its socket tells."""
    attachment = drops(rung)
    port = free_port("127.0.0.1")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as capture:
        capture.bind(("lo", 0x0800))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            reader.bind(("127.0.0.1", port))
            for _ in range(N):
                sender.sendto(b"read", ("127.0.0.1", port))
                reader.recv(9)
    rows = _of_port(attachment, port)
    assert _classes(rows) == {DropClass.ORDINARY: N}, rows
    if "purge" in rows[0]["location"]:
        assert {row["trait"] for row in rows} == {CLOSED}


@pytest.mark.parametrize("rung", LADDER)
def test_a_closed_port_refuses_and_a_late_rst_is_ordinary(drops: Drops, rung: str) -> None:
    if capabilities.lockdown() == "confidentiality":
        pytest.skip("no headers are read under lockdown")
    attachment = drops(rung)
    port = free_port("127.0.0.1")
    assert connect("127.0.0.1", port, N) == N
    assert _classes(_of_port(attachment, port)) == {DropClass.REFUSAL: N}
    with _raw_peer(port) as peer:
        before = _netstat("TcpInSegs")
        for _ in range(N):
            peer.send(1000, RST)
        assert _netstat("TcpInSegs") - before == N
    found = _classes(_of_port(attachment, port))
    assert found == {DropClass.REFUSAL: N, DropClass.ORDINARY: N}


class _raw_peer:
    """Somebody on v1 with an address of nobody's, who sends what he likes."""

    def __init__(self, port: int) -> None:
        veth()
        run("ip", "addr", "add", f"{HERE}/24", "dev", "v0")
        macs = [run("ip", "-br", "link", "show", name).split()[2] for name in ("v1", "v0")]
        run("ip", "neigh", "add", NOBODY, "lladdr", macs[0], "dev", "v0")
        self._peer = Peer("v1", (macs[0], macs[1]), (NOBODY, HERE), port)

    def __enter__(self) -> Peer:
        return self._peer

    def __exit__(self, *_: object) -> None:
        self._peer._socket.close()


@pytest.mark.parametrize("rung", LADDER)
def test_what_came_twice_is_ordinary(drops: Drops, rung: str) -> None:
    """Duplicates of data that are there already, and acknowledgements that later ones overtook."""
    attachment = drops(rung)
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        with _raw_peer(port) as peer:
            theirs = peer.shake_hands() + 1
            time.sleep(0.1)
            for _ in range(N):
                peer.send(1001, ACK | 8, b"data", theirs)
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100) == b"data"
                rows = _of_port(attachment, port)
                duplicates = N - 1
                assert sum(r["packets"] for r in rows if not is_lost(r)) in (0, duplicates)
                assert not [r for r in rows if is_lost(r) and r["reason"] != "-"]
                peer.send(1005, RST)


@pytest.mark.parametrize("rung", LADDER)
def test_data_for_a_connection_that_was_closed_are_lost(drops: Drops, rung: str) -> None:
    """As many as nstat's TCPAbortOnData."""
    attachment = drops(rung)
    before, ports = _netstat("TcpExtTCPAbortOnData"), set()
    for _ in range(N):
        with socket.create_server(("127.0.0.1", 0)) as server:
            ports.add(server.getsockname()[1])
            with socket.create_connection(server.getsockname()) as client:
                server.accept()[0].close()
                client.send(b"too late")
                time.sleep(0.002)
    aborted = _netstat("TcpExtTCPAbortOnData") - before
    assert aborted > 0
    found = _classes(_of_port(attachment, *ports))
    assert found[DropClass.HARM] in ((aborted,) if "no-reason" not in rung else (0, aborted))


@pytest.mark.parametrize("rung", LADDER)
def test_a_full_receive_buffer_is_harm(drops: Drops, rung: str) -> None:
    """As many as nstat's RcvbufErrors, and what was read by nobody before the end is ordinary."""
    attachment = drops(rung)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.bind(("127.0.0.1", 0))
        port = reader.getsockname()[1]
        before = _netstat("UdpRcvbufErrors")
        for _ in range(N):
            sender.sendto(b"x" * 500, ("127.0.0.1", port))
        refused = _netstat("UdpRcvbufErrors") - before
    assert refused > 0
    found = _classes(_of_port(attachment, port))
    assert found[DropClass.HARM] == refused
    assert found[DropClass.ORDINARY] in (0, N - refused)


@pytest.mark.parametrize("rung", [rung for rung in LADDER if "no-reason" not in rung])
def test_acknowledgements_of_the_second_half_are_ordinary(drops: Drops, rung: str) -> None:
    """The client has closed its half and reads on: each of its ACKs is freed as dropped."""
    attachment = drops(rung)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            connection, _ = server.accept()
            client.shutdown(socket.SHUT_WR)
            with connection:
                for _ in range(N):
                    connection.sendall(b"x" * 1000)
                    assert client.recv(1000, socket.MSG_WAITALL)
    time.sleep(0.1)
    assert not [row for row in _of_port(attachment, port) if is_lost(row)]
    assert not _netstat("TcpInErrs")


@pytest.mark.parametrize("rung", [rung for rung in LADDER if "no-reason" not in rung])
def test_what_is_for_a_group_that_nobody_joined_is_ordinary(drops: Drops, rung: str) -> None:
    if capabilities.lockdown() == "confidentiality":
        pytest.skip("no headers are read under lockdown")
    attachment = drops(rung)
    port = free_port("127.0.0.1")
    veth()
    run("ip", "addr", "add", f"{HERE}/24", "dev", "v0")
    run("ip", "addr", "add", "198.51.100.1/24", "dev", "v1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HERE))
        for _ in range(N):
            s.sendto(b"hello", ("239.255.255.250", port))
    rows = [row for row in _of_port(attachment, port) if row["interface"] == "v1"]
    found = _classes(rows)
    if rows[0]["reason"] not in ("NOT_SPECIFIED", "-"):  # the source is an address of this host
        pytest.skip(f"this kernel says {rows[0]['reason']}")
    assert found == {DropClass.ORDINARY: N}


@pytest.mark.parametrize("rung", [rung for rung in LADDER if "no-reason" not in rung])
def test_answers_to_ping_are_ordinary(drops: Drops, rung: str) -> None:
    """Its raw socket has a copy of each; the kernel frees its own as if nobody had wanted it."""
    attachment = drops(rung)
    run("ping", "-q", "-c", "5", "-i", "0.02", "127.0.0.1")
    rows = [row for row in values(attachment) if row["protocol"] == "icmp"]
    lost = [row for row in rows if row["interface"] == "lo" and is_lost(row)]
    assert lost == []
