"""Drop rules: what is to be dropped on an interface, for how long, and what no rule may match.

A rule is written as it is shown:

    src 192.0.2.0/24 ttl 5m
    proto icmp
    udp dport 53 src 2001:db8::/32

All that is named must be so of a packet. A source is of one family: a rule with an IPv4 source
matches no IPv6 packet, and the other way round. How rules are enforced is in `droprules.enforcer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

DEFAULT_TTL = 600.0
"""Seconds of a rule's life where it gives no ttl."""
SHORTEST, LONGEST = 1.0, 86400.0
"""Bounds of a rule's life, seconds."""
MAX_RULES = 64
"""Rules on one interface: each packet may be compared with all of them."""

PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmp6": 58,
    "sctp": 132,
    "udplite": 136,
}
"""IANA's protocol numbers that have a name here."""
NAMES = {number: name for name, number in PROTOCOLS.items()}
PORTED = frozenset({6, 17, 33, 132, 136})
"""Protocols whose header begins with the source and the destination port."""
_ALIASES = {"icmpv6": "icmp6", "ipv6-icmp": "icmp6", "udp-lite": "udplite"}
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 in IPv6 notation, as logs of programs with both have it. It is never on the wire."""
_LONGEST_TEXT = 300
"""Characters of a rule at most."""
_IPV4_ONLY, _IPV6_ONLY = {1, 2}, {58}


class RuleError(ValueError):
    """A rule that makes no sense or is not allowed, explained in one sentence."""


@dataclass(frozen=True, slots=True)
class DropRule:
    """A rule: what to drop, and for how long.

    source: where packets come from; IPv4-mapped networks become IPv4's. protocol: IANA's number.
    port: the destination's. None: any. ttl: seconds from being added to the end.

    Raises RuleError for a rule that would match everything or the loopback, or is impossible.
    """

    source: Network | None = None
    protocol: int | None = None
    port: int | None = None
    ttl: float = DEFAULT_TTL

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", _unmapped(self.source))
        for problem in self._problems():
            raise RuleError(problem)

    def _problems(self) -> Iterator[str]:
        if self.protocol is None and self.port is None and not self._narrow():
            of = f" of IPv{self.source.version}" if self.source is not None else ""
            yield f"a rule must say what to drop: this one would match every packet{of}"
        if self.source is not None:
            yield from self._source_problems(self.source)
        if self.protocol is not None and not 0 <= self.protocol <= 255:
            yield f"a protocol is a number from 0 to 255, not {self.protocol}"
        if self.port is not None and not 1 <= self.port <= 65535:
            yield f"a port is a number from 1 to 65535, not {self.port}"
        if self.port is not None and self.protocol is not None and self.protocol not in PORTED:
            yield f"the protocol {protocol_name(self.protocol)} has no ports"
        if not SHORTEST <= self.ttl <= LONGEST:
            yield "a rule's ttl is from 1 second to 24 hours (ttl 10m)"

    def _narrow(self) -> bool:
        return self.source is not None and self.source.prefixlen > 0

    def _source_problems(self, source: Network) -> Iterator[str]:
        for loopback in _LOOPBACK:
            if source.version == loopback.version and _within(source, loopback):
                yield f"{source} is the loopback, which no rule may match"
        wrong = _IPV6_ONLY if source.version == 4 else _IPV4_ONLY
        if self.protocol in wrong:
            yield f"{protocol_name(self.protocol)} is not a protocol of IPv{source.version}"

    @property
    def what(self) -> str:
        """The match as it can be parsed, without its time to live."""
        words = []
        if self.source is not None:
            single = self.source.prefixlen == self.source.max_prefixlen
            words.append(f"src {self.source.network_address if single else self.source}")
        if self.port is not None and self.protocol is not None:
            words.append(f"{protocol_name(self.protocol)} dport {self.port}")
        elif self.port is not None:
            words.append(f"dport {self.port}")
        elif self.protocol is not None:
            words.append(f"proto {protocol_name(self.protocol)}")
        return " ".join(words)

    def __str__(self) -> str:
        return f"{self.what} ttl {_ttl_text(self.ttl)}"


def parse(text: str) -> DropRule:
    """Parse a rule. Raises RuleError with a sentence that says what is wrong."""
    if len(text) > _LONGEST_TEXT:
        raise RuleError(f"a rule has {_LONGEST_TEXT} characters at most, this text {len(text)}")
    words = text.split()
    found: dict[str, str] = {}
    while words:
        word = words.pop(0).lower()
        key, value = _pair(word, words)
        if key in found:
            raise RuleError(f"{key} is given twice; a rule takes one")
        found[key] = value
    return DropRule(
        source=_source(found["src"]) if "src" in found else None,
        protocol=_protocol(found["proto"]) if "proto" in found else None,
        port=_port(found["dport"]) if "dport" in found else None,
        ttl=_ttl(found["ttl"]) if "ttl" in found else DEFAULT_TTL,
    )


def parse_on(text: str) -> tuple[str, DropRule]:
    """Parse `IFACE: RULE` (no interface's name has a colon in it)."""
    interface, colon, rule = text.partition(":")
    if not colon or len(interface.split()) != 1:
        raise RuleError("write IFACE: RULE, as in 'eth0: src 192.0.2.0/24 ttl 5m'")
    return interface.strip(), parse(rule)


def protocol_name(number: int | None) -> str:
    """Return a protocol's name, or its number."""
    return "any" if number is None else NAMES.get(number, str(number))


def _pair(word: str, rest: list[str]) -> tuple[str, str]:
    """Return a key and its value: `udp` means `proto udp`, an address means `src` of it."""
    if word in ("src", "proto", "dport", "ttl"):
        if not rest:
            raise RuleError(f"{word} needs a value, for example {_EXAMPLES[word]!r}")
        return word, rest.pop(0)
    if word in PROTOCOLS or word in _ALIASES:
        return "proto", word
    if re.match(r"[0-9a-f]*[.:]", word):
        return "src", word
    raise RuleError(
        f"{word[:40]!r} is not part of a rule: write src ADDRESS, proto NAME, dport PORT, ttl TIME"
    )


_EXAMPLES = {"src": "src 192.0.2.0/24", "proto": "proto icmp", "dport": "dport 53", "ttl": "ttl 5m"}


def _source(text: str) -> Network:
    if "%" in text:
        raise RuleError(f"a rule's source takes no zone: omit {text[text.index('%') :][:20]!r}")
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        wide = ip_network(text, strict=False)
    except ValueError:
        raise RuleError(f"{text[:60]!r} is neither an address nor a network (CIDR)") from None
    raise RuleError(f"{text[:60]} has host bits set: the network is {wide}")


def _unmapped(source: Network | None) -> Network | None:
    """Return the IPv4 network that is written as ::ffff:a.b.c.d in IPv6, else None."""
    if isinstance(source, IPv6Network) and _within(source, _MAPPED):
        address = int(source.network_address) & 0xFFFFFFFF
        return IPv4Network((address, source.prefixlen - _MAPPED.prefixlen))
    return source


def _protocol(text: str) -> int:
    name = _ALIASES.get(text.lower(), text.lower())
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if (number := _number(name)) is not None:
        return number
    known = ", ".join(PROTOCOLS)
    raise RuleError(f"{text[:40]!r} is not a protocol: write a number or one of {known}")


def _port(text: str) -> int:
    number = _number(text)
    if number is None:
        raise RuleError(f"{text[:40]!r} is not a port: write a number from 1 to 65535")
    return number


def _number(text: str) -> int | None:
    """Parse a few ASCII digits; None for other scripts' digits or for too many."""
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def _ttl(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)", text.lower())
    if match is None:
        raise RuleError(f"{text[:40]!r} is not a time: write 90s, 10m or 1h")
    return float(match[1]) * _UNITS[match[2]]


def _ttl_text(seconds: float) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def _within(inner: Network, outer: Network) -> bool:
    return inner.prefixlen >= outer.prefixlen and int(inner.network_address) >> (
        inner.max_prefixlen - outer.prefixlen
    ) == int(outer.network_address) >> (outer.max_prefixlen - outer.prefixlen)
