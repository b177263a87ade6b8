"""Packets of every kind against rules of every kind: what is dropped is what the rule says.

What a packet is, is known from how it was made; nothing here parses one.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import product

import pytest

from probes.compile.compiler import Compiler
from probes.drop_rule import PORTED, DropRule, RuleError, parse
from probes.droprules import program as rule_program
from probes.droprules.enforcer import Rules
from probes.errors import ProbeError
from probes.ladder.attachment import Modules
from probes.model import Hook
from tests.support.frames import (
    AD,
    DESTINATION,
    ETH_ARP,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    ICMP6,
    ROUTING,
    SCTP,
    TCP,
    UDP,
    Q,
    authentication,
    ethernet,
    ip,
    option,
    piece,
    ports,
)
from tests.support.namespaces import namespace, veth

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

RUNGS = [rung.name for rung in rule_program.hook(lambda _: None).ladder]  # type: ignore[arg-type, return-value]
V4, OTHER4, V6, OTHER6 = "198.51.100.7", "203.0.113.9", "2001:db8:7::7", "fe80::9"
MAPPED = f"::ffff:{V4}"
"""No host sends it as IPv6; where one does, it is no IPv4 packet."""
GRE, ESP, AH, IPIP, SIT, IGMP, HIP = 47, 50, 51, 4, 41, 2, 139


@dataclass(frozen=True)
class Packet:
    """source "": it is not IP. dport None: it has none. needed: the host cannot be without it."""

    name: str
    frame: bytes
    source: str = ""
    protocol: int = -1
    dport: int | None = None
    needed: bool = False


def matches(rule: DropRule, packet: Packet) -> bool:
    """The reference: what is to be dropped."""
    if not packet.source or packet.needed:
        return False
    source = ip_address(packet.source)
    if rule.source is not None:
        if rule.source.version != source.version:
            return False
        bits = rule.source.max_prefixlen - rule.source.prefixlen
        if int(source) >> bits != int(rule.source.network_address) >> bits:
            return False
    if rule.protocol is not None and rule.protocol != packet.protocol:
        return False
    return rule.port is None or rule.port == packet.dport


def _plain(*tags: int) -> Iterator[Packet]:
    """Each protocol from each source; in these VLAN tags."""
    inside = f" in {len(tags)} tags" if tags else ""
    for source in (V4, OTHER4, V6, OTHER6, MAPPED):
        for protocol, dport in product((TCP, UDP, SCTP, 33, 136), (53, 22)):
            frame = ip(source, protocol, ports(dport), *tags)
            yield Packet(f"{protocol} {source}{inside}", frame, source, protocol, dport)
        for protocol in (ICMP, IGMP, GRE, ESP, 99, HIP):
            yield Packet(
                f"{protocol} {source}{inside}",
                ip(source, protocol, b"\x08" + b"\0" * 15, *tags),
                source,
                protocol,
            )


def _icmp6(*tags: int) -> Iterator[Packet]:
    discovery = {*range(133, 138), 141, 142, 148, 149}
    listeners = {130, 131, 132, 143, 151, 152, 153}
    for kind in range(256):
        body = bytes([kind]) + b"\0" * 23
        frame = ip(OTHER6, ICMP6, body, *tags)
        needed = kind in discovery | listeners
        yield Packet(f"ICMPv6 {kind}", frame, OTHER6, ICMP6, needed=needed)
        if kind in listeners:  # as they are sent: with the router alert option
            frame = ip(OTHER6, HOP_BY_HOP, option(ICMP6) + body, *tags)
            yield Packet(f"MLD {kind}", frame, OTHER6, ICMP6, needed=True)


def _dhcp(*tags: int) -> Iterator[Packet]:
    for source, to, server, client in ((V4, "255.255.255.255", 67, 68), (OTHER6, "", 547, 546)):
        answer = ip(source, UDP, ports(client, source=server), *tags, to=to)
        yield Packet("DHCP to a client", answer, source, UDP, client, needed=True)
        asked = ip(source, UDP, ports(server, source=client), *tags, to=to)
        yield Packet("DHCP to a server", asked, source, UDP, server)
        tcp = ip(source, TCP, ports(client), *tags)
        yield Packet("TCP to DHCP's port", tcp, source, TCP, client)
    for source, port in ((V4, 546), (V6, 68)):
        yield Packet("the other's port", ip(source, UDP, ports(port), *tags), source, UDP, port)


def _fragments(*tags: int) -> Iterator[Packet]:
    for protocol in (TCP, UDP):
        first4 = ip(V4, protocol, ports(53), *tags, more=True)
        later4 = ip(V4, protocol, ports(53), *tags, offset=1480)
        first6 = ip(V6, FRAGMENT, piece(protocol, 0, more=True) + ports(53), *tags)
        later6 = ip(V6, FRAGMENT, piece(protocol, 1480, more=False) + ports(53), *tags)
        whole6 = ip(V6, FRAGMENT, piece(protocol, 0, more=False) + ports(53), *tags)
        for name, source, frame in (("first", V4, first4), ("first", V6, first6)):
            yield Packet(f"{name} fragment", frame, source, protocol, 53)
        for name, source, frame in (("later", V4, later4), ("later", V6, later6)):
            yield Packet(f"{name} fragment", frame, source, protocol)
        yield Packet("atomic fragment", whole6, V6, protocol, 53)


def _extended(*tags: int) -> Iterator[Packet]:
    """IPv6 extension headers, IPv4 options, and the longest of both that are followed."""
    chains = {
        "hop by hop": (HOP_BY_HOP, option(UDP)),
        "routing": (ROUTING, option(UDP, 24)),
        "destination": (DESTINATION, option(UDP, 16)),
        "authentication": (AH, authentication(UDP)),
        "several": (
            HOP_BY_HOP,
            option(DESTINATION) + option(ROUTING) + option(FRAGMENT, 24)
            + piece(AH, 0, more=True) + authentication(DESTINATION) + option(UDP),
        ),
    }  # fmt: skip
    for name, (first, headers) in chains.items():
        frame = ip(V6, first, headers + ports(53), *tags)
        yield Packet(f"{name} header", frame, V6, UDP, 53)
    for length in (4, 40):
        frame = ip(V4, UDP, ports(53), *tags, options=b"\x01" * length)
        yield Packet(f"{length} bytes of options", frame, V4, UDP, 53)
    frame = ip(V4, AH, authentication(UDP) + ports(53), *tags)
    yield Packet("IPv4's authentication header is a protocol", frame, V4, AH)
    yield Packet("mobility", ip(V6, 135, option(59), *tags), V6, 135)
    yield Packet("no next header", ip(V6, 59, b"", *tags), V6, 59)


def _cut(*tags: int) -> Iterator[Packet]:
    """What ends before its ports."""
    for source in (V4, V6):
        frame = ip(source, UDP, b"\0" * 40, *tags)
        end = frame.index(b"\0" * 40)
        yield Packet("cut", frame[: end + 2], source, UDP)


def _tunnels(*tags: int) -> Iterator[Packet]:
    """Rules are about the outer packet."""
    inner4, inner6 = ip(OTHER4, TCP, ports(22))[14:], ip(OTHER6, TCP, ports(22))[14:]
    for source in (V4, V6):
        yield Packet("IPv4 inside", ip(source, IPIP, inner4, *tags), source, IPIP)
        yield Packet("IPv6 inside", ip(source, SIT, inner6, *tags), source, SIT)
        frame = ip(source, GRE, b"\0\0\x08\0" + inner4, *tags)
        yield Packet("GRE", frame, source, GRE)
        frame = ip(source, UDP, ports(4789)[:8] + b"\x08" + b"\0" * 7 + inner4, *tags)
        yield Packet("VXLAN", frame, source, UDP, 4789)


def _no_ip(*tags: int) -> Iterator[Packet]:
    ip4, ip6 = ip(V4, TCP, ports(22))[14:], ip(V6, TCP, ports(22))[14:]
    kinds = {
        "ARP": (ETH_ARP, b"\0\x01\x08\0\x06\x04\0\x01" + b"\0" * 20),
        "RARP": (0x8035, b"\0" * 28),
        "PPPoE": (0x8864, b"\x11\0\0\x01\0\x30\0\x21" + ip4),
        "MPLS": (0x8847, b"\0\x01\x01\x40" + ip4),
        "LLDP": (0x88CC, b"\0" * 46),
        "EAPOL": (0x888E, b"\0" * 46),
        "802.3": (len(ip4) + 8, b"\xaa\xaa\x03\0\0\0\x08\0" + ip4),
        "MACsec": (0x88E5, ip6),
    }
    for name, (kind, payload) in kinds.items():
        yield Packet(name, ethernet(kind, payload, *tags))


def packets() -> list[Packet]:
    makers = (_plain, _dhcp, _fragments, _extended, _tunnels, _no_ip)
    made = [p for tags in ((), (Q,), (AD, Q), (Q, Q, Q)) for make in makers for p in make(*tags)]
    made += [*_icmp6(), *_icmp6(Q), *_cut(Q)]
    return made


SOURCES = (
    "", "src 0.0.0.0/0", "src ::/0", "src ::/1", "src 8000::/1", "src 0.0.0.0/1", "src 128.0.0.0/1",
    f"src {V4}", f"src {OTHER4}/32", "src 198.51.100.0/24", f"src {V6}", "src 2001:db8::/32",
    f"src {OTHER6}", "src ::ffff:0:0/96", f"src {MAPPED}", "src ::ffff:198.51.100.0/120",
    "src ::/64", "src ::fffe:0:0/95", "src fe80::/10",
)  # fmt: skip
WHAT = (
    "", "tcp", "udp", "icmp", "icmp6", "igmp", "sctp", "gre", "esp", "ah", "dccp", "udplite",
    "proto 0", "proto 4", "proto 41", "proto 43", "proto 44", "proto 59", "proto 60", "proto 99",
    "proto 135", "proto 139", "proto 255", "dport 53", "udp dport 53", "tcp dport 22", "dport 68",
    "udp dport 68", "udp dport 546", "udp dport 547", "dport 4789", "tcp dport 53", "sctp dport 53",
)  # fmt: skip


def rules_of_every_kind() -> list[DropRule]:
    made = []
    for words in product(SOURCES, WHAT):
        try:
            made.append(parse(" ".join(words)))
        except RuleError:
            pass
    return list(dict.fromkeys(made))


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def rules(modules: Modules) -> Iterator[Rules]:
    del modules
    compiler = Compiler(cached=True)
    made = Rules(compiler)
    yield made
    made.close()
    compiler.close()


@pytest.mark.parametrize("rung", RUNGS)
def test_what_a_rule_says_is_dropped_and_nothing_else(
    rules: Rules, rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All wide rules, and some of the others."""
    _only(rung, monkeypatch)
    veth()
    _stay(rules)
    every = rules_of_every_kind()
    wide = [r for r in every if r.source is None or r.source.prefixlen <= 1]
    chosen = random.Random(15).sample([r for r in every if r not in wide], 40)
    sent = packets()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("v1", 0))
        for rule in (*wide, *chosen):
            rules.add("v0", rule)
            wrong = _disagreements(rules, rule, sent, s)
            rules.remove("v0", rule)
            assert wrong == [], f"{rule.what} on {rung}"


def _disagreements(
    rules: Rules, rule: DropRule, sent: list[Packet], s: socket.socket
) -> list[tuple[str, str]]:
    """Packets that were not dropped though the rule says so, and the other way round. One by one
    only where it is not so that all that match were, and of all together no more."""

    def dropped(some: list[Packet]) -> int:
        before = _hits(rules, rule)
        for packet in some:
            s.send(packet.frame)
        return _hits(rules, rule) - before

    matching = [p for p in sent if matches(rule, p)]
    if dropped(matching) == dropped(sent) == len(matching):
        return []
    once = [(p, dropped([p])) for p in sent]
    return [(p.name, "dropped" if n else "passed") for p, n in once if n != matches(rule, p)]


def _hits(rules: Rules, rule: DropRule) -> int:
    return next(e.packets for e in rules.shown() if e.rule.what == rule.what)


def _only(rung: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rule_program.hook

    def ladder(open: rule_program.Opened) -> Hook:
        hook = whole(open)
        return replace(hook, ladder=tuple(r for r in hook.ladder if r.name == rung))

    monkeypatch.setattr(rule_program, "hook", ladder)


def _stay(rules: Rules) -> None:
    """A rule that matches nothing, so that the programs stay."""
    try:
        rules.add("v0", parse("src 10.255.255.255"))
    except ProbeError as refused:
        why = str(refused)
    else:
        return
    assert "report it" not in why  # the verifier's or the compiler's words: a bug of ours
    pytest.skip(why)


def test_the_reference_knows_ports_only_where_there_are_some() -> None:
    """What the comparison stands on."""
    for packet in packets():
        assert packet.dport is None or packet.protocol in PORTED
