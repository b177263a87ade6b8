"""The funnel: a known number of packets is dropped at each stage, and shows there alone."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Modules
from tests.support.devices import quiet, tun
from tests.support.drop_causes import counters
from tests.support.foreign import LONG, Somebody, somebody
from tests.support.funnels import Watch, watching
from tests.support.namespaces import (
    FRAME,
    HERE,
    THERE,
    as_json,
    await_running,
    namespace,
    pair,
    run,
    send,
    veth,
)
from tests.support.obstacles import LINUX
from tests.support.offload import switch

pytestmark = pytest.mark.kernel

N, SENT = 25, 1_000_000
_SOL_PACKET, _PACKET_STATISTICS = 263, 6  # include/linux/socket.h, include/uapi/linux/if_packet.h


@pytest.fixture
def watch(modules: Modules) -> Iterator[Callable[..., Watch]]:
    with ExitStack() as stack:
        yield lambda *more: stack.enter_context(watching(modules, *more))


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(modules: Modules) -> Iterator[None]:
    """A compile costs a guest seconds. What was counted goes with the last of these tests."""
    ladder = catalogue()["drops"].ladder
    given = (r for r in ladder if not r.passive and (r.precheck is None or r.precheck() is None))
    with ExitStack() as stack:
        modules.take(next(given).source_for(None), stack)
        yield


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[Somebody]:
    with somebody(tmp_path) as process:
        yield process


def _shot(device: str, direction: str) -> None:
    """A filter that drops everything: classic BPF that answers TC_ACT_SHOT."""
    run("tc", "qdisc", "replace", "dev", device, "clsact")
    run("tc", "filter", "add", "dev", device, direction, "bpf", "da", "bytecode", "1,6 0 0 2,")


def _addressed(device: str = "v0") -> bytes:
    """Gives an interface an address and a neighbour, so that it asks nobody; its link address."""
    run("ip", "addr", "add", f"{HERE}/24", "dev", device)
    run("ip", "neigh", "add", THERE, "lladdr", "02:00:00:00:00:02", "dev", device)
    text = Path("/sys/class/net", device, "address")
    shown = text.read_text() if text.exists() else _link_address(device)
    return bytes.fromhex(shown.strip().replace(":", ""))


def _link_address(device: str) -> str:
    words = run("ip", "-o", "link", "show", "dev", device).split()
    return words[words.index("link/ether") + 1]


def _datagram(to: bytes, address: str, port: int, payload: bytes = b"x" * 18) -> bytes:
    """A frame with a UDP datagram from THERE, without a checksum of its own."""
    udp = struct.pack("!HHHH", 4000, port, 8 + len(payload), 0) + payload
    source, destination = socket.inet_aton(THERE), socket.inet_aton(address)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source,
                         destination)  # fmt: skip
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    header = header[:10] + struct.pack("!H", check) + header[12:]
    return to + b"\x02\0\0\0\0\x02" + b"\x08\x00" + header + udp


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_what_an_xdp_program_drops(watch: Callable[[], Watch], acme: Somebody, mode: str) -> None:
    veth()
    acme.xdp_by_netlink("v0", mode)
    began = watch()
    send("v1", N, LONG)
    assert began.lost("v0") == {"xdp": N}
    assert began.lost("v1") == {}


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_what_an_xdp_program_aborts_or_cannot_send_on(
    watch: Callable[..., Watch], acme: Somebody, mode: str
) -> None:
    """Its verdicts do not tell, but the kernel does, and a veth counts some as its own."""
    index, _ = veth()
    acme.put(acme.load("xdp by byte", "acme_xdp", btf=True), index, mode)
    began = watch("xdp-programs", "xdp-errors")
    sent = {0: N, 1: N + 1, 4: N + 2, 2: 3}  # aborted, dropped, redirected to nowhere, passed
    if mode == "native":
        sent[3] = N + 3  # sent back to where nobody takes it
    for byte, frames in sent.items():
        send("v1", frames, FRAME[:14] + bytes([byte]) + FRAME[15:])
    lost = sum(sent.values()) - 3
    deadline = time.monotonic() + 10  # a veth takes packets in when its CPU comes to it
    while (told := began.lost("v0")) != {"xdp": lost, "stack": 3}:
        assert time.monotonic() < deadline, told
    stages = {s.name: s for s in began.funnel("v0")}
    came = stages["tc-ingress"].came
    (program,) = [r for r in began.rows("xdp-programs") if r["interface"] == "v0"]
    if program["seen"] == "runs":
        assert came is None, "what it sends is not known on this rung"
    else:
        assert came is not None
        assert came.total == 3
    whys = [cause.why for cause in stages["xdp"].causes]
    assert any(why.startswith("acme_xdp#") for why in whys)
    assert any(": redirect: E" in why for why in whys)


def test_what_is_lost_behind_a_redirect(watch: Callable[..., Watch], acme: Somebody) -> None:
    """Where it came in, and not once more at the veth that could not take it."""
    index, _ = veth()
    out, behind = veth("w0", "w1")
    run("ip", "link", "set", "dev", "w1", "mtu", "100")
    acme.put(acme.load("xdp by byte", "acme_taker"), behind, "native")
    acme.put(acme.ask("redirect", "acme_redirect", out), index, "native")
    began = watch("xdp-programs", "xdp-errors")
    send("v1", N, FRAME + bytes(100))
    deadline = time.monotonic() + 10
    while (told := began.lost("v0")) != {"xdp": N}:
        assert time.monotonic() < deadline, told
    assert began.lost("w0") == {}


def test_what_a_tc_filter_drops_on_the_way_in(watch: Callable[[], Watch]) -> None:
    veth()
    _shot("v0", "ingress")
    began = watch()
    send("v1", N)
    assert began.lost("v0") == {"tc-ingress": N}
    assert began.lost("v1") == {}


def test_what_a_tc_filter_drops_on_the_way_out(watch: Callable[[], Watch]) -> None:
    veth()
    _shot("v1", "egress")
    began = watch()
    send("v1", N)
    assert began.lost("v1") == {"tc-egress": N}
    assert began.lost("v0") == {}


def test_what_no_protocol_takes_though_the_link_counts_it_as_well(
    watch: Callable[[], Watch],
) -> None:
    veth()
    began = watch()
    send("v1", N)
    assert began.lost("v0") == {"stack": N}
    assert began.lost("v1") == {}
    stack = next(s for s in began.funnel("v0") if s.name == "stack")
    assert stack.came is not None
    assert stack.came.total == N
    if began.reasons:
        assert stack.why.startswith("UNHANDLED_PROTO at __netif_receive_skb_core")


def test_what_has_no_route_in(watch: Callable[[], Watch]) -> None:
    """To an address that is not ours, with forwarding off."""
    veth()
    mac = _addressed()
    Path("/proc/sys/net/ipv4/conf/v0/forwarding").write_text("0")
    began = watch()
    send("v1", N, _datagram(mac, "198.51.100.9", 9))
    assert began.lost("v0") == {"stack": N}


def test_what_no_socket_listens_for(watch: Callable[[], Watch]) -> None:
    veth()
    mac = _addressed()
    began = watch()
    send("v1", N, _datagram(mac, HERE, 9))
    assert began.lost("v0") == {"socket": N}
    socket_stage = next(s for s in began.funnel("v0") if s.name == "socket")
    assert socket_stage.why.startswith("NO_SOCKET at " if began.reasons else "__udp4_lib_rcv")


def test_what_finds_a_socket_s_buffer_full(watch: Callable[[], Watch]) -> None:
    """What was sent is what is read plus what was lost."""
    veth()
    mac = _addressed()
    with socket.socket(type=socket.SOCK_DGRAM) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.bind((HERE, 0))
        reader.setblocking(False)
        began = watch()
        send("v1", 100, _datagram(mac, HERE, reader.getsockname()[1], b"x" * 500))
        read = 0
        while True:
            try:
                reader.recv(1000)
            except BlockingIOError:
                break
            read += 1
        assert 0 < read < 100
        assert began.lost("v0") == {"socket": 100 - read}


def test_what_a_queue_drops_though_the_kernel_frees_it_as_well(
    watch: Callable[[], Watch],
) -> None:
    """It lets some go and holds some back; the rest is lost, below another queue as well."""
    veth()
    run("tc", "qdisc", "add", "dev", "v1", "root", "handle", "1:",
        "tbf", "rate", "8bit", "burst", "600", "limit", "1000")  # fmt: skip
    run("tc", "qdisc", "add", "dev", "v1", "parent", "1:1", "handle", "11:", "pfifo", "limit", "3")
    began = watch()
    send("v1", N)
    lost = began.lost("v1")
    stages = {s.name: s for s in began.funnel("v1")}
    wire, queue = stages["wire"].came, stages["qdisc"].came
    assert wire is not None
    assert queue is not None
    waiting = N - queue.total
    assert waiting == 3
    assert lost == {"qdisc": N - wire.total - waiting}
    assert lost["qdisc"] > 0
    assert began.lost("v0") == {"stack": wire.total}


def test_what_a_device_cannot_send(watch: Callable[[], Watch]) -> None:
    """Nobody reads from a tap device whose ring holds ten."""
    with tun("tap0", ethernet=True):
        run("ip", "link", "set", "dev", "tap0", "txqueuelen", "10")
        began = watch()
        send("tap0", 10 + N)
        assert began.lost("tap0") == {"wire": N}


def test_what_a_device_cannot_take(watch: Callable[[], Watch]) -> None:
    """A tun device gets what is no IP: its own rx_dropped, and none of the stack's."""
    with tun("tun0") as write:
        began = watch()
        for _ in range(N):
            with pytest.raises(OSError, match="Invalid argument"):
                write(b"\xf0" + FRAME)
        assert began.lost("tun0") == {"nic": N}


def test_drops_at_several_stages_at_once_are_told_apart(watch: Callable[[], Watch]) -> None:
    veth()
    mac = _addressed()
    began = watch()
    send("v1", N)
    send("v1", N + 1, _datagram(mac, HERE, 9))
    _shot("v1", "egress")
    send("v1", N + 2)
    assert began.lost("v0") == {"stack": N, "socket": N + 1}
    answers = began.lost("v1")  # what v0 says of closed ports is for nobody there
    assert answers.pop("stack", 0) < N + 1
    assert answers == {"tc-egress": N + 2}


def test_what_a_device_without_a_carrier_drops_is_lost_once(watch: Callable[[], Watch]) -> None:
    """Case 09: the kernel frees it as a queue's drop where there is no queue, and the link counts
    it as well."""
    veth()
    _addressed()
    run("ip", "link", "set", "v1", "down")
    await_running("v0", running=False)
    watching = watch()
    before = _tx_dropped("v0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(N):
            s.sendto(b"x", (THERE, 9))
    time.sleep(0.1)
    counted = _tx_dropped("v0") - before
    assert counted == N or (counted == 0 and LINUX < (6, 18)), "not all kernels count it"
    stages = {s.name: s for s in watching.funnel("v0")}
    assert {s.name: s.lost.total for s in stages.values() if s.lost and s.lost.total} == {"wire": N}
    for name in ("tc-egress", "qdisc", "wire"):
        came = stages[name].came
        assert came is not None
        assert came.total == N, name


def test_what_a_full_queue_drops_is_no_loss_of_the_device(watch: Callable[[], Watch]) -> None:
    """The same reason at the same place, where there is a queue."""
    veth()
    _addressed()
    run("tc", "qdisc", "add", "dev", "v0", "root", "pfifo", "limit", "1000")
    run("tc", "qdisc", "replace", "dev", "v0", "root", "tbf", "rate", "8kbit", "burst", "100",
        "limit", "100")  # fmt: skip
    watching = watch()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(N):
            s.sendto(b"x" * 50, (THERE, 9))
    lost = watching.lost("v0")
    assert set(lost) == {"qdisc"}
    assert N - 3 <= lost["qdisc"] < N


def _tx_dropped(interface: str) -> int:
    (link,) = as_json("ip", "-j", "-s", "link", "show", "dev", interface)
    return int(link["stats64"]["tx"]["dropped"])


@pytest.mark.parametrize("joined", ["whole", "cut, then joined"])
def test_a_packet_of_several_segments_is_one_at_every_stage(
    watch: Callable[..., Watch], joined: str
) -> None:
    """Case 11. A veth hands GSO packets on as they are. Where it may not it counts segments, which
    GRO joins for TC: then what the device counts stands apart."""
    with pair() as beside:
        silent = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$f; done"
        run("ip", "netns", "exec", beside, "sh", "-c", silent)
        if joined != "whole":
            command = (sys.executable, "-m", "tests.support.offload", "v1", "tso", "off")
            run("ip", "netns", "exec", beside, *command)
            switch("v0", "gro", "on")
        watching = watch("tc-ingress@v0", "tc-egress@v0")
        before = _received("v0")
        _sent_from(beside, SENT)
        stages = {s.name: s for s in watching.funnel("v0")}
        received = _received("v0") - before
    lost = {n: (s.lost.total, s.causes) for n, s in stages.items() if s.lost and s.lost.total}
    assert not lost
    came = {n: s.came.total for n, s in stages.items() if s.came is not None}
    segments = {n: s.segments.total for n, s in stages.items() if s.segments is not None}
    assert abs(came["nic"] - received) <= 2
    assert came["nic"] == came["xdp"]
    assert came["tc-ingress"] == came["stack"]
    assert segments["tc-ingress"] > SENT // 1500
    if joined == "whole":
        assert came["tc-ingress"] == came["nic"] < segments["tc-ingress"]
    else:
        assert came["tc-ingress"] < came["nic"] == segments["tc-ingress"]
    assert came["tc-egress"] == came["qdisc"] == came["wire"]


def test_what_tc_cannot_tell_where_packets_are_joined_is_not_said(
    watch: Callable[..., Watch],
) -> None:
    """Without a program of ours there."""
    veth()
    switch("v0", "gro", "on")
    watching = watch()
    send("v1", N)
    came = {s.name: s.came for s in watching.funnel("v0")}
    assert came["nic"] is not None
    assert came["nic"].total == N
    assert came["tc-ingress"] is came["stack"] is None


def _received(interface: str) -> int:
    (link,) = as_json("ip", "-j", "-s", "link", "show", "dev", interface)
    return int(link["stats64"]["rx"]["packets"])


_SENDER = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(b"x" * int(sys.argv[3]))
s.shutdown(socket.SHUT_WR)
s.recv(1)
"""


def _sent_from(beside: str, size: int) -> None:
    """So many bytes by TCP, from the namespace beside to here."""
    with socket.create_server((HERE, 0)) as server:
        server.settimeout(20)
        port = str(server.getsockname()[1])
        command = ["ip", "netns", "exec", beside, sys.executable, "-c", _SENDER, HERE, port]
        with subprocess.Popen([*command, str(size)]) as sender:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(20)
                while size:
                    some = connection.recv(1 << 20)
                    assert some, "it has ended before it had sent all"
                    size -= len(some)
            assert sender.wait(20) == 0


def test_a_capture_that_is_full_loses_its_copies_and_no_packet(watch: Callable[[], Watch]) -> None:
    """As the capture counts them itself; who listens has them all."""
    veth()
    mac = _addressed()
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as capture,
        socket.socket(type=socket.SOCK_DGRAM) as reader,
    ):
        reader.bind((HERE, 0))
        capture.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        capture.bind(("v0", 0x0800))
        began = watch()
        send("v1", N, _datagram(mac, HERE, reader.getsockname()[1]))
        reader.settimeout(5)
        assert all(reader.recv(100) for _ in range(N))
        told = capture.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        _, dropped = struct.unpack("=II", told)
        assert dropped > 0
        assert began.lost("v0") == {"socket": dropped}


def test_of_multicast_only_the_copies_that_were_not_taken_are_lost(
    watch: Callable[[], Watch],
) -> None:
    """Two receivers, of which one does not read."""
    veth()
    _addressed()
    group, port = "239.1.2.3", 4747
    joining = socket.inet_aton(group) + socket.inet_aton(HERE)
    with ExitStack() as stack:
        one, other = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        for s in (one, other):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((group, port))
            s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joining)
        began, before = watch(), counters()["nstat UdpRcvbufErrors"]
        send("v1", N, _datagram(bytes.fromhex("01005e010203"), group, port))
        one.settimeout(5)
        assert all(one.recv(100) for _ in range(N))
        full = counters()["nstat UdpRcvbufErrors"] - before
        assert full > 0
        assert began.lost("v0") == {"socket": full}


def test_what_a_macvlan_drops_is_not_lost_below_it(watch: Callable[[], Watch]) -> None:
    veth()
    made = ("ip", "link", "add", "m0", "link", "v0", "type", "macvlan", "mode", "bridge")
    if subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("this kernel makes no macvlan")
    quiet("m0")
    run("ip", "link", "set", "m0", "up")
    await_running("m0")
    mac = _addressed("m0")
    began = watch()
    send("v1", N, _datagram(mac, HERE, 9))
    assert began.lost("m0") == {"socket": N}
    assert began.lost("v0") == {}
    came = {s.name: s.came for s in began.funnel("m0")}
    assert came["stack"] is not None
    assert came["stack"].total == N
