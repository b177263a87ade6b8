"""The demo's drop rules behave like real ones, by the script's clock."""

from __future__ import annotations

import pytest

from probes.drop_rule import parse
from probes.errors import Gone, Unsupported
from probes.model import HookId
from probes.sources.demo.source import Demo


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


def _packets(demo: Demo, id: HookId, second: float) -> dict[str, int]:
    """Packets so far of each source, or of each kernel's reason on eth1."""
    names = demo.catalogue[id.hook].places.names
    found: dict[str, int] = {}
    for row in demo.sample(id, second).rows.values():
        values = dict(zip(names, row, strict=True))
        if values["interface"] == "eth1":
            key = str(values.get("saddr") or values.get("reason"))
            found[key] = found.get(key, 0) + int(values["packets"])
    return found


async def _flooded() -> Demo:
    demo = Demo(begin=40.0)
    await demo.start()
    await demo.attach(HookId("sources", "eth1"))
    return demo


async def test_what_a_rule_drops_is_missing_at_the_source_and_freed_at_tc() -> None:
    """Exactly: what came before without it is what comes with it and what it dropped."""
    id, drops = HookId("sources", "eth1"), HookId("drops")
    free, ruled = await _flooded(), await _flooded()
    await ruled.add_rule("eth1", parse("src 203.0.113.66 udp dport 514"))
    ruled._now = 50.0
    (rule,) = ruled.rules()
    assert rule.rung == "tcx"
    assert {r.error for r in rule.refused} == {"EBUSY"}
    assert rule.packets > 10_000
    source = "203.0.113.66"
    missing = _packets(free, id, 50)[source] - _packets(ruled, id, 50).get(source, 0)
    assert missing == pytest.approx(rule.packets, abs=1)
    assert _packets(ruled, drops, 50)["TC_INGRESS"] == pytest.approx(rule.packets, abs=1)
    before, after = (_packets(d, drops, 50)["SOCKET_RCVBUFF"] for d in (free, ruled))
    assert after < before * 0.6, "the socket has more space"


async def test_a_packet_is_dropped_by_one_rule_only() -> None:
    """Two that match the same: the source misses its packets once."""
    demo = await _flooded()
    await demo.add_rule("eth1", parse("udp dport 514 ttl 5s"))
    await demo.add_rule("eth1", parse("src 203.0.113.0/24"))
    demo._now = 50.0
    demo.rules()
    missing = _packets(await _flooded(), HookId("sources", "eth1"), 50)["203.0.113.66"]
    assert _packets(demo, HookId("sources", "eth1"), 50).get("203.0.113.66", 0) == 0
    freed = _packets(demo, HookId("drops"), 50)["TC_INGRESS"]
    assert missing < freed < 3 * missing


async def test_after_a_rule_has_ended_its_packets_come_again() -> None:
    demo = await _flooded()
    rule = parse("src 203.0.113.66 ttl 2s")
    await demo.add_rule("eth1", rule)
    id = HookId("sources", "eth1")
    early, late = (_packets(demo, id, second).get("203.0.113.66", 0) for second in (42, 50))
    assert early == 0
    assert late > 10_000


async def test_the_script_sets_a_rule_itself_once_a_lap() -> None:
    """Late in the incident, for a while; one who drops the same already is not disturbed."""
    seen = await _rules_of(Demo(begin=50.0, pace=_at_once), 150)
    assert [second for second, rules in seen if rules] == [*range(61, 81), *range(181, 200)]
    assert {rules for _, rules in seen} == {(), (("eth1", "src 203.0.113.66 ttl 20s"),)}
    mine = Demo(begin=50.0, pace=_at_once)
    await mine.add_rule("eth1", parse("src 203.0.113.66 ttl 30s"))
    seen = await _rules_of(mine, 40)
    assert {rules for _, rules in seen if rules} == {(("eth1", "src 203.0.113.66 ttl 30s"),)}


async def _at_once(_: float) -> None: ...


async def _rules_of(demo: Demo, seconds: int) -> list[tuple[int, tuple[tuple[str, str], ...]]]:
    await demo.start()
    played = demo.samples("drops")
    seen = []
    for _ in range(seconds):
        await anext(played)
        rules = tuple((e.interface, str(e.rule)) for e in demo.rules())
        seen.append((int(demo._now), rules))
    return seen
