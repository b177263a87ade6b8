"""Netlink readings agree with what iproute2 says about the same objects."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from probes.kernel import bpf
from probes.kernel.netlink import route, sock_diag
from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.sock_diag import TcpState
from probes.point import ProgType
from tests.support.namespaces import as_json, await_running, namespace, run, send, veth

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


def _by_name() -> dict[str, route.Interface]:
    return {link.name: link for link in route.links()}


def test_counters_equal_ip_s_link() -> None:
    """N frames over a veth pair are N packets here, and every counter is what ip says."""
    veth()
    send("v0", 137)
    ours = _by_name()
    assert (ours["v0"].tx_packets, ours["v1"].rx_packets) == (137, 137)
    for theirs in as_json("ip", "-j", "-s", "link"):
        mine, stats = ours[theirs["ifname"]], theirs["stats64"]
        assert mine.ifindex == theirs["ifindex"]
        assert mine.mtu == theirs["mtu"]
        for way in ("rx", "tx"):
            for name in ("packets", "bytes", "dropped", "errors"):
                assert getattr(mine, f"{way}_{name}") == stats[way][name], (way, name)


def test_kind_and_state_are_named() -> None:
    veth()
    run("ip", "link", "add", "name", "br0", "type", "bridge")
    run("ip", "link", "set", "dev", "v1", "down")
    await_running("v0", running=False)
    ours = _by_name()
    assert (ours["lo"].kind, ours["lo"].state) == ("loopback", "up")
    assert (ours["br0"].kind, ours["br0"].state) == ("bridge", "down")
    assert (ours["v0"].kind, ours["v0"].state, ours["v1"].state) == ("veth", "lowdown", "down")


@pytest.mark.anywhere
def test_each_listing_is_as_if_there_had_been_none_before() -> None:
    """Most of a message is as in the listing before, and is not decoded again; all else is."""
    index, _ = veth()
    assert _settled()[index].mtu == 1500
    send("v0", 7)
    assert _settled()[index].tx_packets == 7
    run("ip", "link", "set", "dev", "v0", "mtu", "1400")
    assert _settled()[index].mtu == 1400
    run("ip", "link", "set", "dev", "v0", "name", "w0")
    assert _settled()[index].name == "w0"
    run("ip", "link", "set", "dev", "v1", "down")
    await_running("w0", running=False)
    assert _settled()[index].state == "lowdown"
    run("ip", "link", "del", "dev", "w0")
    run("ip", "link", "add", "w0", "index", str(index), "type", "bridge")
    assert (_settled()[index].kind, _settled()[index].tx_packets) == ("bridge", 0)


def _settled() -> dict[int, route.Interface]:
    """List interfaces, by number, once each alone says the same: links change by themselves."""
    for _ in range(100):
        there = {link.ifindex: link for link in route.links()}
        if all(route.link(index) == link for index, link in there.items()):
            return there
        time.sleep(0.01)
    raise AssertionError(there)


@pytest.mark.anywhere
def test_the_kernel_tells_when_interfaces_change() -> None:
    """One that comes, is renamed, goes down, goes; nothing else, however much traffic there is."""
    with closing(route.Changes()) as changes:
        assert changes.seen(), "nobody has looked yet"
        assert not changes.seen()
        for command in (
            "link add v0 type veth peer name v1",
            "link set v0 name eth9",
            "link set eth9 up",
            "link del eth9",
        ):
            run("ip", *command.split())
            assert changes.seen(), command
        while changes.seen():
            time.sleep(0.05)
        send("lo", 100)
        assert not changes.seen()


@pytest.mark.anywhere
def test_what_went_while_too_much_was_told_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told before the rest was lost, and what was lost."""
    first, last = {*veth()}, {*veth("w0", "w1")}
    heard, whole = nlsocket.heard, []

    def hears(told: socket.socket) -> tuple[list[tuple[int, bytes]], bool]:
        messages, all_of_them = heard(told)
        whole.append(all_of_them)
        return messages, all_of_them

    monkeypatch.setattr(nlsocket, "heard", hears)
    with closing(route.Changes()) as changes:
        assert changes.gone() == frozenset()
        assert changes._told is not None
        changes._told.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least there is
        run("ip", "link", "del", "v0")
        for _ in range(10):
            run("ip", "link", "set", "w0", "down")
            run("ip", "link", "set", "w0", "up")
        run("ip", "link", "del", "w0")
        assert changes.gone() == first | last
        assert whole == [True, False]
        veth()
        assert changes.seen()
        assert changes.gone() == frozenset()


@pytest.mark.anywhere
def test_what_went_has_gone_where_nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nlsocket, "listener", lambda *_: None)
    went = {*veth()}
    with closing(route.Changes()) as changes:
        assert changes.gone() == frozenset()
        run("ip", "link", "del", "v0")
        assert changes.gone() == went
        assert changes.gone() == frozenset()


@pytest.mark.anywhere
def test_a_dump_larger_than_any_buffer_is_whole() -> None:
    for i in range(80):
        run("ip", "link", "add", "name", f"a{i}", "type", "veth", "peer", "name", f"b{i}")
    names = {link["ifname"] for link in as_json("ip", "-j", "link")}
    ours = [link.name for link in route.links()]
    assert len(ours) == len(set(ours)) == 161
    assert set(ours) == names


@pytest.mark.anywhere
def test_a_list_that_changes_while_it_is_read_is_read_again() -> None:
    """Others' interfaces come and go; those that stay are there each time, just once."""
    steady = {f"{side}{i}" for i in range(40) for side in "ab"}
    for i in range(40):
        run("ip", "link", "add", "name", f"a{i}", "type", "veth", "peer", "name", f"b{i}")

    def come_and_go() -> None:
        for _ in range(20):
            run("ip", "link", "add", "name", "x", "type", "veth", "peer", "name", "y")
            run("ip", "link", "del", "dev", "x")
            time.sleep(0.1)  # it stands still for a moment, also where all is slow

    churn = threading.Thread(target=come_and_go)
    churn.start()
    try:
        while churn.is_alive():
            names = [link.name for link in route.links()]
            assert len(names) == len(set(names))
            assert steady <= set(names)
    finally:
        churn.join()


def test_one_interface_equals_the_list_and_none_is_none() -> None:
    index, _ = veth()
    assert route.link(index) == _by_name()["v0"]
    assert route.link(1 << 20) is None


@pytest.mark.parametrize(
    ("option", "mode", "device"), [("xdpdrv", "native", "v0"), ("xdpgeneric", "generic", "lo")]
)
def test_a_foreign_xdp_program_is_shown_with_mode_and_id(
    option: str, mode: str, device: str
) -> None:
    veth()
    program = bpf.prog_load(ProgType.XDP, bpf.exit_with(2), name="foreign")
    id = bpf.prog_info(program).id
    run("bpftool", "net", "attach", option, "id", str(id), "dev", device)
    os.close(program)
    link = _by_name()[device]
    assert (link.xdp_mode, link.xdp_programs) == (mode, ((mode, id),))
    run("bpftool", "net", "detach", option, "dev", device)
    assert (_by_name()[device].xdp_mode, _by_name()[device].xdp_ids) == ("none", ())


def test_qdisc_counters_equal_tc_s_qdisc() -> None:
    """A bfifo that holds nothing drops every frame, and both say so."""
    index, _ = veth()
    run("tc", "qdisc", "add", "dev", "v0", "root", "handle", "5:", "bfifo", "limit", "1")
    send("v0", 23)
    (ours,) = [q for q in route.qdiscs() if q.ifindex == index and q.handle == 0x50000]
    (theirs,) = [q for q in as_json("tc", "-s", "-j", "qdisc") if q.get("handle") == "5:"]
    assert (ours.kind, ours.parent, ours.drops) == ("bfifo", route.ROOT, 23)
    for name in ("packets", "bytes", "drops", "overlimits", "backlog"):
        assert getattr(ours, name) == theirs[name], name


def _connections(n: int, family: int, host: str) -> list[socket.socket]:
    with socket.create_server((host, 0), family=family, backlog=n) as server:
        clients = [socket.socket(family) for _ in range(n)]
        for client in clients:
            client.connect(server.getsockname())
        return clients + [server.accept()[0] for _ in range(n)]


def test_sockets_equal_ss() -> None:
    """The same sockets, with the same addresses, inodes, cookies, round trips and segments."""
    held = _connections(20, socket.AF_INET, "127.0.0.1") + _connections(5, socket.AF_INET6, "::1")
    for client in held[:20]:
        client.send(b"x" * 5000)
    ours = {s.inode: s for s in sock_diag.tcp_sockets(sock_diag.mask(TcpState.ESTABLISHED))}
    lines = run("ss", "-tnieHO", "state", "established").splitlines()
    assert len(ours) == len(lines) == len(held)
    for line in lines:
        (inode,) = map(int, re.findall(r"\bino:(\d+)", line))
        (cookie,) = (int(c, 16) for c in re.findall(r"\bsk:([0-9a-f]+)", line))
        mine, info = ours[inode], ours[inode].info
        assert info is not None
        local, remote = (a for a in line.split()[:4] if ":" in a)
        assert local == _shown(mine.laddr, mine.lport)
        assert remote == _shown(mine.raddr, mine.rport)
        assert mine.cookie == cookie
        rtt, variance = re.findall(r"\brtt:([\d.]+)/([\d.]+)", line)[0]
        assert (info.rtt_us, info.rttvar_us) == (float(rtt) * 1000, float(variance) * 1000)
        for name in ("segs_out", "segs_in", "bytes_acked", "bytes_received"):
            told = re.findall(rf"\b{name}:(\d+)", line)
            assert getattr(info, name) == (int(told[0]) if told else 0), name
    for s in held:
        s.close()


def _shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def test_a_mapped_address_is_shown_as_ipv4() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0] as accepted:
            inode = os.fstat(accepted.fileno()).st_ino
            (found,) = [s for s in sock_diag.tcp_sockets() if s.inode == inode]
    assert (found.laddr, found.lport, found.raddr) == ("127.0.0.1", port, "127.0.0.1")


def test_only_the_states_asked_for_come() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        states = {s.state for s in sock_diag.tcp_sockets(sock_diag.mask(TcpState.LISTEN))}
    assert states == {TcpState.LISTEN}
    assert sock_diag.tcp_sockets(sock_diag.mask(TcpState.LISTEN)) == []


@pytest.mark.anywhere
def test_more_sockets_than_any_buffer_holds() -> None:
    held = _connections(400, socket.AF_INET, "127.0.0.1")
    ours = sock_diag.tcp_sockets(sock_diag.CONNECTED)
    assert {s.inode for s in ours} == {os.fstat(s.fileno()).st_ino for s in held}
    assert len(ours) == 800
    for s in held:
        s.close()
