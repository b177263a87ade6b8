"""What a dropped packet was and where it was to go, as far as its headers tell; on any rung."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.analysis.snapshot import Snapshot, Trail
from probes.hooks import catalogue
from probes.hooks.drops.source import MAP_ENTRIES
from probes.kernel import capabilities
from probes.ladder.attachment import Attachment, Modules
from probes.model import OTHERS
from tests.support.namespaces import namespace, send, veth
from tests.support.rungs import stood
from tests.support.scenarios import values

pytestmark = pytest.mark.kernel

N = 7
ETHERNET = b"\xff" * 6 + b"\x02" * 6
SOURCE, DESTINATION = "192.0.2.2", "198.51.100.9"


@pytest.fixture
def drops(modules: Modules) -> Iterator[Callable[[], Attachment]]:
    made: list[Attachment] = []

    def attach() -> Attachment:
        made.append(Attachment(catalogue()["drops"], modules))
        made[-1].climb()
        return made[-1]

    with namespace():
        yield attach
        for attachment in made:
            attachment.detach()


def _ipv4(protocol: int, payload: bytes, fragment: int = 0, options: bytes = b"") -> bytes:
    words = 0x45 + len(options) // 4
    head = struct.pack(
        "!BBHHHBBH4s4s", words, 0, 20 + len(options) + len(payload), 0, fragment, 64, protocol, 0,
        socket.inet_aton(SOURCE), socket.inet_aton(DESTINATION),
    )  # fmt: skip
    head += options
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return (
        ETHERNET
        + b"\x08\x00"
        + head[:10]
        + struct.pack("!H", ~total & 0xFFFF)
        + head[12:]
        + payload
    )


def _ipv6(following: int, payload: bytes) -> bytes:
    address = socket.inet_pton(socket.AF_INET6, "2001:db8::9")
    head = struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + address + address
    return ETHERNET + b"\x86\xdd" + head + payload


def _udp(port: int) -> bytes:
    return struct.pack("!HHHH", 4000, port, 26, 0) + b"x" * 18


HOP_BY_HOP = struct.pack("!BBHI", 17, 0, 0x0104, 0)
FRAMES = {
    "udp": (_ipv4(17, _udp(9)), "udp", 9),
    "tcp": (_ipv4(6, struct.pack("!HH", 4000, 443) + bytes(16)), "tcp", 443),
    "sctp behind options": (_ipv4(132, _udp(36412), 0, b"\x01" * 8), "sctp", 36412),
    "later fragment": (_ipv4(17, _udp(9), 5), "udp", None),
    "no room for ports": (_ipv4(17, b"\x01\x02"), "udp", None),
    "icmp": (_ipv4(1, b"\x08\0" + bytes(6)), "icmp", None),
    "unnamed": (_ipv4(253, bytes(8)), "ip 253", None),
    "ipv6 tcp": (_ipv6(6, struct.pack("!HH", 4000, 22) + bytes(16)), "tcp", 22),
    "ipv6 udp behind an option": (_ipv6(0, HOP_BY_HOP + _udp(53)), "udp", 53),
    "ipv6 icmp": (_ipv6(58, bytes(8)), "icmpv6", None),
    "lldp": (ETHERNET + b"\x88\xcc" + bytes(46), "lldp", None),
}


def test_protocol_and_port_of_every_kind(drops: Callable[[], Attachment]) -> None:
    """All to an address that nobody has; IPv6 is off. As many of each as no other has."""
    veth()
    attachment = drops()
    for n, (frame, _, _) in enumerate(FRAMES.values()):
        send("v1", 1 << n, frame)
    rows = [r for r in values(attachment) if r["interface"] == "v0"]
    found: dict[tuple[str, int | None], int] = {}
    for row in rows:
        key = row["protocol"], row["dport"]
        found[key] = found.get(key, 0) + row["packets"]
    expected: dict[tuple[str, int | None], int] = {}
    for n, (_, protocol, port) in enumerate(FRAMES.values()):
        expected[protocol, port] = expected.get((protocol, port), 0) + (1 << n)
    assert found == expected


@pytest.mark.parametrize("rung", ["btf-tracepoint", "btf-tracepoint-no-reason"])
def test_under_lockdown_the_ethertype_is_told_and_no_memory_read(
    modules: Modules, monkeypatch: pytest.MonkeyPatch, rung: str
) -> None:
    """The program that is loaded there, here: the kernel would refuse one that calls a helper
    to read (113, bpf_probe_read_kernel)."""
    monkeypatch.setattr(capabilities, "lockdown", lambda: "confidentiality")
    source = next(r for r in catalogue()["drops"].ladder if r.name == rung).source_for(None)
    attachment = Attachment(catalogue()["drops"], modules)
    with ExitStack() as stack:
        code = modules.take(source, stack).functions["dropped"]
        calls = [i for op, i in struct.iter_unpack("<B3xi", code) if op == 0x85]
        assert calls
        assert 113 not in calls
        stack.callback(attachment.detach)
        stood(attachment.climb(pinned=rung))
        stack.enter_context(namespace())
        veth()
        send("v1", N, FRAMES["udp"][0])
        send("v1", N, FRAMES["lldp"][0])
        rows = [r for r in values(attachment) if r["location"] != "-" and r["packets"] == N]
    assert {(r["protocol"], r["dport"]) for r in rows} >= {("ipv4", None), ("lldp", None)}


@pytest.mark.anywhere
def test_a_port_scan_makes_no_count_go_back(drops: Callable[[], Attachment]) -> None:
    """More ports than there is place for: those left over are counted together."""
    veth()
    attachment = drops()
    ports = MAP_ENTRIES + 500
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("v1", 0))
        for port in range(1, ports + 1):
            s.send(_ipv4(17, _udp(port)))
    rows = [r for r in values(attachment) if r["interface"] == "v0"]
    assert sum(r["packets"] for r in rows) == ports
    assert len([r for r in rows if r["dport"]]) <= MAP_ENTRIES
    assert sum(r["packets"] for r in rows if r["dport"] is None) >= 500


@pytest.mark.anywhere
def test_after_a_port_scan_what_is_dropped_has_its_port(drops: Callable[[], Attachment]) -> None:
    """Ports that nothing is sent to any more make room, and no packet is counted twice or lost."""
    veth()
    attachment, scanned, later = drops(), MAP_ENTRIES + 500, 60_000
    trail = Trail(catalogue()["drops"])
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("v1", 0))
        trail.snapshot(attachment.read())
        for port in range(1, scanned + 1):
            s.send(_ipv4(17, _udp(port)))
        sums = [_of_v0_and_others(trail.snapshot(attachment.read()))]
        for _ in range(3):
            time.sleep(0.1)
            s.send(_ipv4(17, _udp(later)))
            sums.append(_of_v0_and_others(trail.snapshot(attachment.read())))
        for _ in range(N):
            s.send(_ipv4(17, _udp(later)))
    last = trail.snapshot(attachment.read())
    (row,) = [r for r in last.rows if r["dport"] == later]
    assert int(row["packets"]) >= N
    assert len([r for r in last.rows if r["dport"]]) < MAP_ENTRIES * 3 // 4
    sent = scanned + 3 + N
    assert sent <= _of_v0_and_others(last)[0] < sent + 100, "a few are of others, meanwhile"
    grown = [rate for _, rate in sums[1:]]
    assert all(rate < 200 for rate in grown), "what was let go is not counted again"


def _of_v0_and_others(snapshot: Snapshot) -> tuple[int, float]:
    """Return the packets of our interface and of what has no row any more; their rate."""
    rows = [r for r in snapshot.rows if r["interface"] == "v0" or r["reason"] == OTHERS]
    return sum(int(r["packets"]) for r in rows), sum(r.rate("packets") or 0.0 for r in rows)


def test_what_a_socket_of_another_namespace_drops_is_not_ours(modules: Modules) -> None:
    """A packet at a socket has left its device; its route still knows the namespace."""
    attachment = Attachment(catalogue()["drops"], modules)
    attachment.climb()
    try:
        with namespace(), socket.socket(type=socket.SOCK_DGRAM) as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.bind(("127.0.0.1", 0))
            port = reader.getsockname()[1]
            with socket.socket(type=socket.SOCK_DGRAM) as writer:
                for _ in range(100):
                    writer.sendto(b"x" * 500, ("127.0.0.1", port))
            inode = Path("/proc/thread-self/ns/net").stat().st_ino
            rows = [r for r in values(attachment) if r["dport"] == port]
            rows = [r for r in rows if r["counts"] == "packets"]
    finally:
        attachment.detach()
    assert {r["interface"] for r in rows} == {f"if1 (netns {inode})"}
    assert 0 < sum(r["packets"] for r in rows) < 100
