"""Drop rules: what can be written, what it means, and what is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import ip_network

import pytest

from probes.drop_rule import DEFAULT_TTL, PROTOCOLS, DropRule, RuleError, parse, parse_on


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("src 192.0.2.0/24", DropRule(ip_network("192.0.2.0/24"))),
        ("192.0.2.7", DropRule(ip_network("192.0.2.7/32"))),
        ("src 2001:db8::/32 ttl 5m", DropRule(ip_network("2001:db8::/32"), ttl=300)),
        ("proto icmp", DropRule(protocol=1)),
        ("PROTO ICMPv6 ttl 90", DropRule(protocol=58, ttl=90)),
        ("icmp6", DropRule(protocol=58)),
        ("proto 47 ttl 1h", DropRule(protocol=47, ttl=3600)),
        ("udp dport 53", DropRule(protocol=17, port=53)),
        ("dport 53 proto udp", DropRule(protocol=17, port=53)),
        ("dport 8080", DropRule(port=8080)),
        (
            "tcp dport 22 src 198.51.100.9 ttl 1.5m",
            DropRule(ip_network("198.51.100.9"), 6, 22, 90),
        ),
        ("0.0.0.0/0 udp", DropRule(ip_network("0.0.0.0/0"), 17)),
        ("src ::ffff:192.0.2.7", DropRule(ip_network("192.0.2.7/32"))),
        ("src ::ffff:192.0.2.0/120 tcp", DropRule(ip_network("192.0.2.0/24"), 6)),
        ("src ::ffff:0:0/96 udp", DropRule(ip_network("0.0.0.0/0"), 17)),
        ("src ::/95 udp", DropRule(ip_network("::/95"), 17)),
    ],
)
def test_what_a_text_says(text: str, rule: DropRule) -> None:
    assert parse(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "src 192.0.2.0/24 ttl 10m",
        "src 192.0.2.7 ttl 1h",
        "src 2001:db8::/32 udp dport 53 ttl 90s",
        "proto icmp ttl 10m",
        "dport 8080 ttl 1.5s",
        "proto 99 ttl 10m",
    ],
)
def test_a_rule_is_shown_as_it_can_be_written(text: str) -> None:
    assert str(parse(text)) == text


def test_a_rule_lives_ten_minutes_where_nothing_else_is_said() -> None:
    assert parse("proto icmp").ttl == DEFAULT_TTL == 600


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_with_a_name_is_read_and_shown_by_it(name: str) -> None:
    assert parse(f"proto {name}") == parse(name)
    assert name in str(parse(name))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "every packet"),
        ("ttl 5m", "every packet"),
        ("src 0.0.0.0/0", "every packet"),
        ("src ::/0 ttl 5m", "every packet of IPv6"),
        ("src ::ffff:0:0/96", "every packet of IPv4"),
        ("src fe80::1%eth0", "takes no zone: omit '%eth0'"),
        ("proto " + "9" * 5000, "300 characters at most"),
        ("proto " + "9" * 200, "not a protocol:"),
        ("dport " + "9" * 200, "not a port"),
        ("dport \u0665\u0663", "not a port"),
        ("icmp ttl \u0665m", "not a time"),
        ("icmp ttl " + "9" * 200 + "h", "not a time"),
        ("src ::ffff:192.0.2.7 icmp6", "not a protocol of IPv4"),
        ("src 127.0.0.1", "loopback"),
        ("src 127.0.0.0/8 proto icmp", "loopback"),
        ("src ::1 tcp dport 80", "loopback"),
        ("src ::ffff:127.0.0.1", "loopback"),
        ("src 192.0.2.1/24", "the network is 192.0.2.0/24"),
        ("src 192.0.2", "neither an address nor a network"),
        ("src example.net", "neither an address nor a network"),
        ("src", "src needs a value"),
        ("proto foo", "not a protocol:"),
        ("proto 256", "from 0 to 255"),
        ("proto icmp dport 53", "icmp has no ports"),
        ("dport 0", "from 1 to 65535"),
        ("dport 65536", "from 1 to 65535"),
        ("dport http", "not a port"),
        ("src 192.0.2.1 icmp6", "not a protocol of IPv4"),
        ("src 2001:db8::1 icmp", "not a protocol of IPv6"),
        ("proto icmp ttl soon", "not a time"),
        ("proto icmp ttl 0", "1 second to 24 hours"),
        ("proto icmp ttl 25h", "1 second to 24 hours"),
        ("proto icmp proto udp", "twice"),
        ("proto icmp udp", "twice"),
        ("everything", "not part of a rule"),
    ],
)
def test_what_is_no_rule_is_refused_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(RuleError, match=says) as refused:
        parse(text)
    assert len(str(refused.value)) < 160
    assert "\n" not in str(refused.value)


WORDS = (
    "src", "proto", "dport", "ttl", "udp", "tcp", "icmp6", "ipv6-icmp", "192.0.2.0/24", "::/1",
    "::", "1.2.3.4/0.0.0.255", "fe80::1%25", "::ffff:1.2.3.4/97", "53", "5m", "1e9", "nan", "inf",
    "-1", "0x10", "\u00b2", "\u0665", "+7", "1_0", "\u0663.\u0663.\u0663.\u0663", "//", "/", ":",
    "..", "%", "'", '"', "\\", "\x00", "\x1b[2J", "\n", "\ud800", "\udcff", "İ", "ß", "\U0001f980",
    "0" * 299, "9" * 4400, "a" * 70000, "::" * 90,
)  # fmt: skip


def _odd_texts() -> list[str]:
    """Words of rules and what is none, put together at random, whole and cut to pieces."""
    chance = random.Random(15)
    made = []
    for _ in range(20000):
        words = chance.choices(WORDS, k=chance.randint(0, 7))
        text = chance.choice((" ", " ", "", "\t", "\u3000")).join(words)
        begin = chance.randint(0, 3)
        made.append(text[begin : chance.choice((None, None, 40, 299))])
        made.append("".join(chr(chance.choice((chance.randrange(128), chance.randrange(0x110000))))
                            for _ in range(chance.randint(0, 12))))  # fmt: skip
    return made


@pytest.mark.parametrize("read", [parse, parse_on])
def test_no_text_raises_anything_but_one_sentence(
    read: Callable[[str], DropRule | tuple[str, DropRule]],
) -> None:
    """What is a rule is shown as it can be written again."""
    for text in _odd_texts():
        try:
            made = read(text)
        except RuleError as refused:
            said = str(refused)
            assert said.isprintable(), ascii(text)
            assert 0 < len(said) < 200, ascii(text)
        else:
            rule = made[1] if isinstance(made, tuple) else made
            assert parse(str(rule)).what == rule.what
            assert 1 <= rule.ttl <= 86400


@pytest.mark.parametrize("ttl", [float("nan"), float("inf"), -1.0, 0.99, 86400.5])
def test_a_rule_lives_for_a_second_at_least_and_a_day_at_most(ttl: float) -> None:
    with pytest.raises(RuleError, match="1 second to 24 hours"):
        DropRule(protocol=17, ttl=ttl)
    assert parse("udp ttl 1").ttl == 1
    assert parse("udp ttl 24h").ttl == 86400


def test_an_interface_is_named_before_the_colon() -> None:
    assert parse_on("eth0: src 2001:db8::/32") == ("eth0", parse("src 2001:db8::/32"))
    assert parse_on("eth0.7:icmp ttl 1m") == ("eth0.7", parse("icmp ttl 1m"))


@pytest.mark.parametrize("text", ["src 192.0.2.0/24", ": icmp", "eth0 icmp", "src 2001:db8::/32"])
def test_a_rule_without_interface_says_how_to_write_one(text: str) -> None:
    with pytest.raises(RuleError, match="write IFACE: RULE"):
        parse_on(text)
