"""Top sources: every form of packet is counted under its sender, on every rung alike."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from probes.hooks import catalogue
from probes.hooks.sources.hook import MAX_ROWS
from probes.ladder.attachment import Attachment, Modules
from probes.model import OTHERS, State
from tests.support import frames
from tests.support.devices import tun
from tests.support.frames import (
    AD,
    AUTH,
    DESTINATION,
    ETH_ARP,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    ICMP6,
    ROUTING,
    SCTP,
    SENDER_TEXT,
    TCP,
    UDP,
    Q,
    ethernet,
    ip,
    option,
    piece,
    ports,
)
from tests.support.namespaces import as_json, namespace, send, veth
from tests.support.rungs import stood
from tests.support.scenarios import find, sample_of, values

pytestmark = pytest.mark.kernel
HOOK = catalogue()["sources"]
RUNGS = [pytest.param(r.name, id=f"sources:{r.name}") for r in HOOK.ladder]
FORMS = {
    "TCP": (ip("198.51.100.1", TCP, ports(80)), "198.51.100.1", "tcp", 80),
    "UDP": (ip("198.51.100.2", UDP, ports(53)), "198.51.100.2", "udp", 53),
    "SCTP": (ip("198.51.100.3", SCTP, ports(38412)), "198.51.100.3", "sctp", 38412),
    "ICMP": (ip("198.51.100.4", ICMP, b"\x08" + b"\0" * 15), "198.51.100.4", "icmp", None),
    "a protocol without a name": (ip("198.51.100.5", 99, b"\0" * 8), "198.51.100.5", "99", None),
    "IPv4 options": (
        ip("198.51.100.6", UDP, ports(54), options=b"\x01" * 12),
        "198.51.100.6",
        "udp",
        54,
    ),
    "an IPv4 header that is too short": (
        ethernet(0x0800, bytes([0x44]) + b"\0" * 45),
        SENDER_TEXT,
        "0x0800",
        None,
    ),
    "TCP over IPv6": (ip("2001:db8::1", TCP, ports(443)), "2001:db8::1", "tcp", 443),
    "ICMPv6": (ip("2001:db8::2", ICMP6, b"\x80" + b"\0" * 15), "2001:db8::2", "icmp6", None),
    "IPv6 extension headers": (
        ip(
            "2001:db8::3",
            HOP_BY_HOP,
            option(ROUTING)
            + option(DESTINATION, 24)
            + option(AUTH, 8)
            + frames.authentication(UDP)
            + ports(55),
        ),
        "2001:db8::3",
        "udp",
        55,
    ),
    "one extension header too many": (
        ip("2001:db8::4", DESTINATION, option(DESTINATION) * 6 + option(UDP) + ports(56)),
        "2001:db8::4",
        "60",
        None,
    ),
    "802.1Q": (ip("198.51.100.7", UDP, ports(57), Q), "198.51.100.7", "udp", 57),
    "QinQ": (ip("198.51.100.8", UDP, ports(58), AD, Q), "198.51.100.8", "udp", 58),
    "QinQ, IPv6": (ip("2001:db8::5", UDP, ports(59), AD, Q), "2001:db8::5", "udp", 59),
    "ARP": (ethernet(ETH_ARP, b"\0" * 28), SENDER_TEXT, "arp", None),
    "no protocol of the internet's": (ethernet(0x88B5, b""), SENDER_TEXT, "0x88b5", None),
}


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def attached(
    modules: Modules,
    keep: Callable[[str], None],
    record_property: Callable[[str, object], None],
) -> Iterator[Callable[[str, str], Attachment]]:
    """Stands on one rung on an interface, or skips with what the kernel answered."""
    held: list[Attachment] = []

    def attach(rung: str, device: str = "v0") -> Attachment:
        index = socket.if_nametoindex(device)
        held.append(Attachment(HOOK, modules, device, index))
        stood(held[-1].climb(pinned=rung, asked=True), record_property)
        rung_there = HOOK.rung(rung)
        assert rung_there is not None
        keep(rung_there.source_for(device))
        return held[-1]

    yield attach
    for attachment in held:
        attachment.detach()


@pytest.mark.parametrize("rung", RUNGS)
def test_every_form_of_packet_is_counted_under_its_sender(
    attached: Callable[[str], Attachment], rung: str, record_property: Callable[[str, object], None]
) -> None:
    veth()
    attachment = attached(rung)
    wanted = {}
    for times, (frame, saddr, protocol, port) in enumerate(FORMS.values(), 1):
        send("v1", times, frame)
        wanted[saddr, protocol, port] = (times, times * len(frame), 0)
    rows = values(attachment)
    found = {
        (r["saddr"], r["protocol"], r["dport"]): (r["packets"], r["bytes"], r["fragments"])
        for r in rows
    }
    assert found == wanted
    assert {r["interface"] for r in rows} == {"v0"}
    assert sample_of(attachment).lost == 0
    record_property("count", sum(n for n, _, _ in wanted.values()))


@pytest.mark.parametrize("rung", RUNGS)
def test_fragments_are_counted_and_only_the_first_has_a_port(
    attached: Callable[[str], Attachment], rung: str
) -> None:
    veth()
    attachment = attached(rung)
    send("v1", 2, ip("198.51.100.1", UDP, ports(53), more=True))
    send("v1", 3, ip("198.51.100.1", UDP, ports(9), offset=1480))
    send("v1", 4, ip("2001:db8::1", FRAGMENT, piece(UDP, 0, more=True) + ports(53)))
    send("v1", 5, ip("2001:db8::1", FRAGMENT, piece(UDP, 1480, more=False) + ports(9)))
    send("v1", 6, ip("2001:db8::1", FRAGMENT, piece(TCP, 0, more=False) + ports(80)))
    rows = values(attachment)
    for saddr, protocol, port, packets, fragments in (
        ("198.51.100.1", "udp", 53, 2, 2),
        ("198.51.100.1", "udp", None, 3, 3),
        ("2001:db8::1", "udp", 53, 4, 4),
        ("2001:db8::1", "udp", None, 5, 5),
        ("2001:db8::1", "tcp", 80, 6, 0),
    ):
        row = find(rows, saddr=saddr, protocol=protocol, dport=port)
        assert (row["packets"], row["fragments"]) == (packets, fragments)
    assert len(rows) == 5


@pytest.mark.parametrize("rung", RUNGS)
def test_packets_that_were_sent_are_nobody_s(
    attached: Callable[[str], Attachment], rung: str
) -> None:
    veth()
    attachment = attached(rung)
    send("v0", 5, ip("198.51.100.1", UDP, ports(53)))
    assert values(attachment) == []


@pytest.mark.parametrize("rung", [p for p in RUNGS if "xdp-native" not in str(p.id)])
def test_what_the_host_sends_itself_is_counted_once(
    attached: Callable[[str, str], Attachment], rung: str
) -> None:
    attachment = attached(rung, "lo")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(7):
            s.sendto(b"x" * 10, ("127.0.0.1", 9))
    row = find(values(attachment), saddr="127.0.0.1", protocol="udp", dport=9)
    assert (row["packets"], row["bytes"]) == (7, 7 * (14 + 20 + 8 + 10))


@pytest.mark.parametrize("rung", ["tcx", "packet-socket", "xdp-generic"])
def test_more_sources_than_there_is_room_for_are_bounded_and_the_rest_is_of_others(
    attached: Callable[[str], Attachment], rung: str
) -> None:
    """Nothing is counted twice, nor forgotten: the sum over the rows is what came."""
    veth()
    attachment = attached(rung)
    frame, many = ip("10.1.0.0", UDP, ports(53)), MAX_ROWS + 2000
    seen = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("v1", 0))
        for n in range(many):
            s.send(ip(f"10.1.{n >> 8}.{n & 255}", UDP, ports(53)))
            if n % 1500 == 0:
                seen.append((n + 1, sum(r["packets"] for r in values(attachment))))
    assert [sent for sent, _ in seen] == [shown for _, shown in seen]
    rows = values(attachment)
    assert 0 < len(rows) <= MAX_ROWS + 1
    assert sum(row["bytes"] for row in rows) == many * len(frame)
    assert find(rows, saddr=OTHERS)["packets"] >= 2000
    assert sample_of(attachment).lost == 0


@pytest.mark.parametrize("rung", ["tcx", "packet-socket"])
def test_a_target_is_counted_on_when_it_is_attached_again(
    attached: Callable[[str], Attachment], rung: str
) -> None:
    """What lets go of the maps' entries is not the one that counts."""
    veth()
    attachment, frame = attached(rung), ip("198.51.100.1", UDP, ports(53))
    for turn in (1, 2, 3):
        send("v1", 3, frame)
        assert [r["packets"] for r in values(attachment)] == [3 * turn]
        assert attachment.climb(pinned=rung, asked=True).state is State.ATTACHED


@pytest.mark.anywhere
def test_two_interfaces_are_kept_apart(attached: Callable[[str, str], Attachment]) -> None:
    """And what was counted before an interface is attached anew is not counted again."""
    veth()
    veth("w0", "w1")
    one, other = attached("packet-socket", "v0"), attached("packet-socket", "w0")
    frame = ip("198.51.100.1", UDP, ports(53))
    send("v1", 3, frame)
    send("w1", 4, frame)
    assert [r["packets"] for r in values(one)] == [3]
    assert [r["packets"] for r in values(other)] == [4]
    again = attached("packet-socket", "v0")
    assert values(again) == []
    assert [r["packets"] for r in values(other)] == [4]


@pytest.mark.parametrize("rung", ["tcx", "packet-socket"])
def test_packets_without_ethernet_header_are_counted_as_well(
    attached: Callable[[str, str], Attachment], rung: str
) -> None:
    with tun("t0") as write:
        attachment = attached(rung, "t0")
        for _ in range(6):
            write(ip("198.51.100.9", UDP, ports(53))[14:])
        row = find(values(attachment), saddr="198.51.100.9", protocol="udp", dport=53)
        assert row["packets"] == 6


@pytest.mark.anywhere
def test_at_xdp_packets_without_ethernet_header_are_refused(modules: Modules) -> None:
    """There nothing tells the program that there is none: it would count nonsense."""
    with tun("t0"):
        index = socket.if_nametoindex("t0")
        attachment = Attachment(HOOK, modules, "t0", index)
        status = attachment.climb(pinned="xdp-generic", asked=True)
        assert status.state is State.FAILED
        assert "no Ethernet header" in status.refused[0].why
        assert "xdp" not in as_json("ip", "-j", "link", "show", "t0")[0]


@pytest.mark.anywhere
def test_the_ladder_never_comes_into_the_data_path_by_itself(modules: Modules) -> None:
    """Also where all that looks on is refused; only the user's request does."""
    index, _ = veth()
    blind = replace(HOOK, ladder=HOOK.ladder[3:])
    attachment = Attachment(blind, modules, "v0", index)
    status = attachment.climb(asked=True)
    assert [r.error for r in status.refused] == ["Denied"] * 2
    assert "--rung sources=xdp-native" in status.refused[0].remedy
    observing = Attachment(HOOK, modules, "v0", index, observe_only=True)
    status = observing.climb(pinned="xdp-generic", asked=True)
    assert "--observe-only" in status.refused[0].why
    assert "xdp" not in as_json("ip", "-j", "link", "show", "v0")[0]
