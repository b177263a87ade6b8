"""The demo's drop rules behave like real ones, by the script's clock."""

from __future__ import annotations

import pytest

from probes.demo import Demo
from probes.errors import Gone, Unsupported
from probes.rules import parse


async def test_a_rule_ends_with_its_time() -> None:
    demo = Demo(begin=10.0)
    made = await demo.add_rule("eth1", parse("udp ttl 5s"))
    assert (made.packets, made.expires_in) == (0, 5)
    demo._now = 12.0
    (shown,) = demo.rules()
    assert shown.expires_in == 3
    demo._now = 15.0
    assert demo.rules() == ()


async def test_a_rule_can_be_ended_and_said_again() -> None:
    demo = Demo()
    await demo.add_rule("eth0", parse("udp ttl 5m"))
    made = await demo.add_rule("eth0", parse("udp ttl 1h"))
    assert made.rung == "xdp-generic"
    assert made.refused[0].error == "EOPNOTSUPP"
    assert [e.rule.ttl for e in demo.rules()] == [3600]
    await demo.remove_rule("eth0", parse("udp"))
    await demo.remove_rule("eth0", parse("udp"))
    assert demo.rules() == ()


async def test_the_loopback_and_what_is_not_there_take_none() -> None:
    with pytest.raises(Unsupported, match="loopback"):
        await Demo().add_rule("lo", parse("udp"))
    with pytest.raises(Gone, match="no interface"):
        await Demo().add_rule("eth7", parse("udp"))
