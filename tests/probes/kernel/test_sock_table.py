"""TCP sockets as an array are those that sock_diag lists one by one."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from probes.hooks.tcp_rtt import open_sockets
from probes.kernel.netlink import sock_diag, sock_table
from probes.kernel.netlink.message_runs import runs
from probes.kernel.netlink.sock_diag import TcpSocket, TcpState
from probes.kernel.netlink.sock_table import tcp_flows, tcp_table
from probes.toolkit.decode import address


@pytest.fixture
def ports() -> Iterator[frozenset[int]]:
    """Ports of connections over IPv4, IPv6 and IPv4-mapped addresses, one of them half closed."""
    with ExitStack() as stack:
        made = set()
        for family, host, to in (
            (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
            (socket.AF_INET6, "::1", "::1"),
            (socket.AF_INET6, "::", "127.0.0.1"),
        ):
            listener = stack.enter_context(socket.socket(family))
            listener.bind((host, 0))
            listener.listen(64)
            for n in range(20):
                where = to, listener.getsockname()[1]
                here = stack.enter_context(socket.create_connection(where))
                there = stack.enter_context(listener.accept()[0])
                here.sendall(b"x")
                there.recv(1)
                if not n:
                    here.shutdown(socket.SHUT_WR)
            made.add(listener.getsockname()[1])
        yield frozenset(made)


def _of(ports: frozenset[int], states: int) -> dict[int, TcpSocket]:
    found = sock_diag.tcp_sockets(states)
    return {s.cookie: s for s in found if s.info is not None and {s.lport, s.rport} & ports}


def test_the_array_has_what_is_listed_one_by_one(ports: frozenset[int]) -> None:
    table, one_by_one, after = None, dict[int, TcpSocket](), None
    while one_by_one != after:  # acknowledgements are still under way
        one_by_one = _of(ports, sock_diag.SYNCHRONIZED)
        table = tcp_table(sock_diag.SYNCHRONIZED)
        after = _of(ports, sock_diag.SYNCHRONIZED)
    assert table is not None
    mine = [s for s in table if {int(s["lport"]), int(s["rport"])} & ports]
    assert {int(s["cookie"]) for s in mine} == one_by_one.keys()
    assert len(mine) == 120
    for found in mine:
        s = one_by_one[int(found["cookie"])]
        assert s.info is not None
        assert address(found["laddr"].tobytes()) == s.laddr
        assert address(found["raddr"].tobytes()) == s.raddr
        assert (int(found["lport"]), int(found["rport"])) == (s.lport, s.rport)
        assert (int(found["inode"]), int(found["ifindex"])) == (s.inode, s.ifindex)
        assert int(found["retransmits"]) == s.info.total_retrans
        assert int(found["srtt_us"]) == s.info.rtt_us
        assert open_sockets.minimum(int(found["min_us"])) == s.info.min_rtt_us


def _flows(states: int) -> set[tuple[Any, ...]]:
    return {
        (
            *(address(f[end].tobytes()) for end in ("laddr", "raddr")),
            *(int(f[name]) for name in ("lport", "rport", "ifindex", "inode", "state")),
        )
        for f in tcp_flows(states)
    }


def _listed() -> set[tuple[Any, ...]]:
    return {
        (s.laddr, s.raddr, s.lport, s.rport, s.ifindex, s.inode, int(s.state))
        for s in sock_diag.tcp_sockets(sock_diag.ALL)
    }


@pytest.mark.usefixtures("ports")
def test_flows_are_those_that_are_listed_in_every_state() -> None:
    """Also those without a TCP_INFO (TIME_WAIT); and where each is made by itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()):
            server.accept()[0].close()  # before the other end: it is in TIME_WAIT then
        found, listed, after = set[Any](), set[Any](), None
        while listed != after:
            listed, found = _listed(), _flows(sock_diag.ALL)
            after = _listed()
    assert found == listed
    assert {s[-1] for s in found} >= {TcpState.LISTEN, TcpState.ESTABLISHED, TcpState.TIME_WAIT}
    one_by_one = sock_table._told_one_by_one(sock_diag.tcp_sockets(sock_diag.SYNCHRONIZED))
    assert sorted(map(bytes, one_by_one)) == sorted(map(bytes, tcp_flows(sock_diag.SYNCHRONIZED)))


@pytest.mark.usefixtures("ports")
def test_listeners_are_those_that_are_listed() -> None:
    table = tcp_table(sock_diag.mask(sock_diag.TcpState.LISTEN))
    assert table is not None
    listed = {s.cookie for s in sock_diag.tcp_sockets(sock_diag.mask(sock_diag.TcpState.LISTEN))}
    assert set(table["cookie"].tolist()) <= listed


def _message(kind: int, body: bytes, flags: int = 2) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


DONE = _message(3, bytes(4))


def test_messages_of_one_length_are_one_array() -> None:
    data = _message(20, b"a" * 8) * 3 + _message(20, b"b" * 12) * 2 + DONE
    found = runs(data)
    assert found is not None
    assert [run.octets.shape for run in found] == [(3, 24), (2, 28), (1, 20)]
    assert found[1].part(0, 2).tobytes() == b"bbbb"
    assert runs(DONE) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        _message(20, bytes(8)),
        _message(20, bytes(8), flags=0x12) + DONE,
        _message(20, bytes(8)) + _message(3, struct.pack("=i", -12)),
        _message(20, bytes(8)) + DONE[:12],
        b"".join(_message(20, bytes(8 + 4 * (n % 2))) for n in range(200)) + DONE,
        _message(20, bytes(8))[:-1] + DONE,
        struct.pack("=IHHII", 4, 20, 2, 0, 0) + DONE,
    ],
    ids=["nothing", "no end", "changed", "failed", "cut", "of many lengths", "odd", "too short"],
)
def test_what_is_no_whole_dump_is_looked_at_one_by_one(data: bytes) -> None:
    assert runs(data) is None
