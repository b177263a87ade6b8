"""A drop is of the namespace and device that it was in, on each rung; what is not known is said so.

Other namespaces have the same numbers for other devices: nothing of theirs has a name of ours.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.kernel import bpf, capabilities, cgroups, procfs
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from tests.support.namespaces import THERE, await_running, namespace, pair, run, send, veth
from tests.support.obstacles import LINUX
from tests.support.scenarios import Values, values

pytestmark = pytest.mark.kernel

N = 7
LADDER = [rung.name for rung in catalogue()["drops"].ladder if rung.source]
BESIDE = pytest.mark.parametrize("beside", [False, True], ids=["here", "beside"])


@contextmanager
def _scene(*, beside: bool) -> Iterator[Callable[[str], str]]:
    """A pair of devices in this thread's namespace. Gives how a device of it is to be called by who
    looks on: from here, or from a namespace that has other devices with the same numbers."""
    with ExitStack() as stack:
        stack.enter_context(namespace())
        stack.enter_context(pair())
        netns = procfs.netns()

        def called(name: str) -> str:
            return f"if{socket.if_nametoindex(name)} (netns {netns})" if beside else name

        yield called


class _Watch:
    """Drops on every rung at once, seen from this thread's namespace, or from one beside it."""

    def __init__(self, modules: Modules, *, beside: bool) -> None:
        self.beside = beside
        hook = catalogue()["drops"]
        self._rungs = {rung: Attachment(hook, modules) for rung in LADDER}

    def __enter__(self) -> _Watch:
        with ExitStack() as stack, self._place():
            for rung, attachment in self._rungs.items():
                stack.callback(attachment.detach)
                status = attachment.climb(pinned=rung)
                assert not any(refusal.log for refusal in status.refused), status
            attached = State.ATTACHED
            self._rungs = {r: a for r, a in self._rungs.items() if a.status.state is attached}
            assert self._rungs
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def _place(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self.beside:
                stack.enter_context(namespace())
                for names in (("x0", "x1"), ("y0", "y1")):
                    veth(*names)
            yield

    def by_interface(self, **wanted: object) -> Counter[str]:
        """Packets of rows that have these values, on all rungs alike."""
        for _ in range(5):  # a packet may be dropped between two rungs' readings
            with self._place():
                found = {rung: _packets(values(a), wanted) for rung, a in self._rungs.items()}
            first = next(iter(found.values()))
            if found == dict.fromkeys(found, first):
                break
            time.sleep(0.1)
        assert found == dict.fromkeys(found, first)
        return first


def _packets(rows: list[Values], wanted: dict[str, object]) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        if row["counts"] == "packets" and wanted.items() <= row.items():
            found[row["interface"]] += row["packets"]
    return found


ANYBODY, IPV4 = b"\xff" * 6 + b"\x02" * 6, b"\x08\x00"
NOBODY = "198.51.100.9"


def _packet(to: str, protocol: int, payload: bytes, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 4711, fragment, 64, protocol,
                       0, socket.inet_aton(THERE), socket.inet_aton(to))  # fmt: skip
    total = sum(struct.unpack("!10H", head))
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", total) + head[12:] + payload


def _datagram(port: int) -> bytes:
    return _packet(NOBODY, 17, struct.pack("!HHHH", 4000, port, 26, 0) + b"x" * 18)


_ports = iter(range(20000, 30000, 10))


def _port() -> int:
    """One that no other test's packets have."""
    return next(_ports) + os.getpid() % 100 * 100 % 10000


def _datagrams(to: str, port: int, number: int = N) -> int:
    """Sends some; how many the kernel refused to its face."""
    refused = 0
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        for _ in range(number):
            try:
                s.sendto(b"x", (to, port))
            except PermissionError:
                refused += 1
    return refused


@BESIDE
def test_what_a_device_receives(modules: Modules, *, beside: bool) -> None:
    """Also one that stands on another: of VLAN 5, a macvlan and a bridge, where there are such."""
    with _scene(beside=beside) as called, _Watch(modules, beside=beside) as watch:
        veth("w0", "w1")
        port = _port()
        send("w1", N, ANYBODY + IPV4 + _datagram(port))
        assert watch.by_interface(dport=port) == {called("w0"): N}
        if _child("c0", "w0", "vlan", "id", "5"):
            send("w1", N + 1, ANYBODY + b"\x81\x00\x00\x05" + IPV4 + _datagram(port + 1))
            assert watch.by_interface(dport=port + 1) == {called("c0"): N + 1}
        if _child("c1", "w0", "macvlan"):
            mac = run("ip", "-br", "link", "show", "c1").split()[2].replace(":", "")
            send("w1", N + 2, bytes.fromhex(mac) + ANYBODY[6:] + IPV4 + _datagram(port + 2))
            assert watch.by_interface(dport=port + 2) == {called("c1"): N + 2}
            run("ip", "link", "del", "c1")
        if _child("c2", "w0", "bridge"):
            run("ip", "link", "set", "w0", "master", "c2")
            send("w1", N + 3, ANYBODY + IPV4 + _datagram(port + 3))
            assert watch.by_interface(dport=port + 3) == {called("c2"): N + 3}


@BESIDE
@pytest.mark.parametrize("how", [("bond", "mode", "active-backup"), ("vrf", "table", "10")])
def test_what_a_device_receives_for_its_master(
    modules: Modules, how: tuple[str, ...], *, beside: bool
) -> None:
    """The kernel passes it on as the master's: from then on it is the master that drops it."""
    with _scene(beside=beside) as called, _Watch(modules, beside=beside) as watch:
        veth("w0", "w1")
        if not _child("c0", "w0", *how):
            pytest.skip(f"this kernel has no {how[0]}")
        run("ip", "link", "set", "w0", "down")  # else no bond takes it
        run("ip", "link", "set", "w0", "master", "c0")
        run("ip", "link", "set", "w0", "up")
        await_running("c0")
        port = _port()
        send("w1", N, ANYBODY + IPV4 + _datagram(port))
        assert watch.by_interface(dport=port) == {called("c0"): N}


def _child(name: str, of: str, kind: str, *how: str) -> bool:
    """Whether this kernel makes such a device; it is up then, and silent."""
    add = ("ip", "link", "add", "link", of, "name", name, "type", kind, *how)
    if subprocess.run(add, check=False, capture_output=True).returncode:
        return False
    run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
    run("ip", "link", "set", name, "up")
    return True


@BESIDE
def test_what_a_socket_has_no_room_for(modules: Modules, *, beside: bool) -> None:
    """As many as the namespace's own counter says."""
    with _scene(beside=beside) as called, _Watch(modules, beside=beside) as watch:
        with socket.socket(type=socket.SOCK_DGRAM) as to:
            to.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            to.bind(("127.0.0.1", 0))
            port = to.getsockname()[1]
            _datagrams("127.0.0.1", port, 60)
            lost = procfs.net_counters()["UdpRcvbufErrors"]
            found = watch.by_interface(dport=port)
        assert lost > 0
        assert found == {called("lo"): lost}


@BESIDE
def test_what_the_own_output_firewall_drops(modules: Modules, *, beside: bool) -> None:
    """It has no device yet, but the one of its route; the firewall's own counter stands beside."""
    if capabilities.lockdown() == "confidentiality":
        pytest.skip("no program may follow a packet's route here")
    port = _port()
    table = "add table inet t; add chain inet t o { type filter hook output priority 0; }; "
    table += f"add rule inet t o udp dport {port} counter drop; "
    table += f"add rule inet t o tcp dport {port} counter drop"
    with _scene(beside=beside) as called, _Watch(modules, beside=beside) as watch:
        if subprocess.run(("nft", table), check=False, capture_output=True).returncode:
            pytest.skip("no nftables here")
        assert _datagrams(THERE, port) == N
        with socket.socket() as s:
            s.setblocking(False)
            s.connect_ex((THERE, port))
        dropped = run("nft", "list", "table", "inet", "t")
        assert f"counter packets {N} " in dropped
        assert watch.by_interface(dport=port, protocol="udp") == {called("v0"): N}
        assert set(watch.by_interface(dport=port, protocol="tcp")) == {called("v0")}


@BESIDE
def test_what_a_cgroup_s_program_does_not_let_out(modules: Modules, *, beside: bool) -> None:
    root = cgroups.root()
    if root is None:
        pytest.skip("no cgroup v2")
    port = _port()
    refuse_all = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    place = root / f"whose-{os.getpid()}"
    with (
        _scene(beside=beside) as called,
        _Watch(modules, beside=beside) as watch,
        ExitStack() as stack,
    ):
        place.mkdir()
        stack.callback(place.rmdir)
        folder = os.open(place, os.O_RDONLY)
        stack.callback(os.close, folder)
        program = bpf.prog_load(8, refuse_all, name="refuse_all", expected_attach_type=1)
        stack.callback(os.close, program)
        stack.callback(os.close, bpf.link_create(program, folder, 1))
        sender = f"echo $$ > {place}/cgroup.procs; for i in $(seq {N})\n"
        sender += f"do echo x > /dev/udp/{THERE}/{port}; done 2> /dev/null"
        subprocess.run(("bash", "-c", sender), check=False)
        assert watch.by_interface(dport=port) == {called("v0"): N}


@BESIDE
def test_what_nobody_has_read_when_its_socket_is_closed(modules: Modules, *, beside: bool) -> None:
    """A datagram in a queue has nothing left but the number of the interface that it came by."""
    with _scene(beside=beside) as called, _Watch(modules, beside=beside) as watch:
        with socket.socket(type=socket.SOCK_DGRAM) as to:
            to.bind(("127.0.0.1", 0))
            port = to.getsockname()[1]
            _datagrams("127.0.0.1", port)
        time.sleep(0.2)  # the socket is freed when no CPU looks at it any more
        found = watch.by_interface(dport=port)
        assert found.keys() <= {called("lo"), "if1 (netns ?)"}
        assert found.total() == N or (LINUX > (6, 18) and not found), "newer ones call it no drop"


@BESIDE
def test_what_waits_for_a_neighbour(modules: Modules, *, beside: bool) -> None:
    """Nobody answers: all but one of them find its queue full."""
    with _scene(beside=beside) as called, _Watch(modules, beside=beside) as watch:
        run("sysctl", "-qw", "net.ipv4.neigh.v0.unres_qlen_bytes=0")
        port = _port()
        _datagrams("192.0.2.77", port)
        assert set(watch.by_interface(dport=port)) == {called("v0")}


def test_a_fragment_whose_device_is_forgotten(modules: Modules) -> None:
    """Its queue keeps it without device, socket and route: only the number that it came by is left,
    and nobody knows any more in which namespace that was."""
    with _scene(beside=False), _Watch(modules, beside=False) as watch:
        run("sysctl", "-qw", "net.ipv4.ipfrag_time=1")
        veth("w0", "w1")
        run("ip", "addr", "add", f"{NOBODY}/24", "dev", "w0")
        mac = bytes.fromhex(run("ip", "-br", "link", "show", "w0").split()[2].replace(":", ""))
        number = socket.if_nametoindex("w0")
        for at in range(1, N + 1):  # the first one never comes
            packet = _packet(NOBODY, 253, b"x" * 8, fragment=0x2000 | at * 2)
            send("w1", 1, mac + b"\x02" * 6 + IPV4 + packet)
        unknown, end = f"if{number} (netns ?)", time.monotonic() + 5
        while not (found := watch.by_interface(protocol="ip 253"))[unknown]:
            assert time.monotonic() < end, found
            time.sleep(0.1)
        assert found.keys() <= {"w0", unknown}


def test_a_device_that_is_moved_and_renamed_while_it_drops(modules: Modules) -> None:
    """What it dropped here stays ours; what it drops there is the other namespace's."""
    with namespace(), pair() as other, _Watch(modules, beside=False) as watch:
        veth("w0", "w1")
        port, frame = _port(), ANYBODY + IPV4
        send("w1", N, frame + _datagram(port))
        assert watch.by_interface(dport=port) == {"w0": N}
        run("ip", "link", "set", "w0", "down")
        run("ip", "link", "set", "w0", "name", "other-name")
        assert watch.by_interface(dport=port) == {"other-name": N}
        number = socket.if_nametoindex("other-name")
        run("ip", "link", "set", "other-name", "netns", other)
        run("ip", "-n", other, "link", "set", "other-name", "up")
        await_running("w1")
        send("w1", N + 1, frame + _datagram(port))
        there = Path("/run/netns", other).stat().st_ino
        assert watch.by_interface(dport=port) == {
            f"if{number}": N,
            f"if{number} (netns {there})": N + 1,
        }
