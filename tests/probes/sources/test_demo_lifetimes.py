"""What the demo's rules drop: as many as a count rule by rule finds, at a cost that does not grow.

The cost is counted in calls of Python functions, which do not depend on the machine.
"""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from probes.drop_rule import MAX_RULES, parse
from probes.errors import Unsupported
from probes.model import HookId
from probes.sources.demo import flood
from probes.sources.demo.lifetimes import Lifetimes, Lived
from probes.sources.demo.source import Demo
from tests.support.calls_made import calls_made

_TEXTS = ("udp dport 514", "src 203.0.113.0/24", "src 203.0.113.66", "src 10.0.3.40", "proto tcp")
_INTERFACES = ("eth0", "eth1", "br0", "veth3f2a1c", "veth90b7de")


class _Plain:
    """The same, rule by rule and moment by moment."""

    def __init__(self) -> None:
        self.lived: dict[Lived, float] = {}

    def stopped(self, sender: flood.Sender, since: float, time: float) -> float:
        spans = [(one.since, end) for one, end in self.lived.items() if sender in one.senders]
        edges = sorted({since, time, *(e for span in spans for e in span if since < e < time)})
        return sum(
            to - begin
            for begin, to in pairwise(edges)
            if any(s <= begin and to <= e for s, e in spans)
        )


@pytest.mark.parametrize("seed", range(20))
def test_each_second_is_stopped_once_however_many_rules_there_are(seed: int) -> None:
    dice, ours, plain, now = random.Random(seed), Lifetimes(), _Plain(), 0.0
    standing: list[Lived] = []
    for _ in range(40):
        now += dice.choice((0.5, 3.0, 20.0, 60.0))
        for over in [one for one in standing if one.until <= now or dice.random() < 0.1]:
            standing.remove(over)
            ours.end(over, now)
            plain.lived[over] = min(over.until, now)
        made = Lived.of("eth1", parse(f"{dice.choice(_TEXTS)} ttl {dice.randint(1, 90)}s"), now)
        if made not in standing:
            standing.append(made)
            ours.add(made)
            plain.lived[made] = made.until
        for sender in flood.SENDERS:
            since, time = sorted(dice.uniform(0, now + 30) for _ in range(2))
            amount = ours.stopped(sender, "seconds", lambda begin, end: end - begin, since, time)
            assert amount == pytest.approx(plain.stopped(sender, since, time))


async def test_an_interface_takes_as_many_rules_as_a_real_one() -> None:
    demo = Demo(begin=55.0)
    for port in range(1, MAX_RULES + 1):
        await demo.add_rule("eth1", parse(f"udp dport {port} ttl 1h"))
    with pytest.raises(Unsupported, match=f"{MAX_RULES} rules at most"):
        await demo.add_rule("eth1", parse("udp dport 99"))
    await demo.add_rule("eth1", parse("udp dport 9 ttl 2h"))
    demo._go_on(70.0)  # the script's own rule has no place
    assert len(demo.rules()) == MAX_RULES


async def test_rules_do_not_cost_once_more_for_each_hook_and_sender() -> None:
    free, ruled = await _standing(), await _standing()
    for interface in _INTERFACES:
        for port in range(1, MAX_RULES + 1):
            await ruled.add_rule(interface, parse(f"src 10.0.0.0/8 udp dport {port} ttl 1h"))
    assert (
        calls_made(lambda: _tick(ruled, 42.0)) - calls_made(lambda: _tick(free, 42.0))
        < 10 * 5 * MAX_RULES
    )


async def test_rules_of_the_past_cost_nothing() -> None:
    demo, costs = await _standing(), dict[int, int]()
    for lap in range(60):
        await demo.add_rule("eth1", parse("src 203.0.113.0/24 ttl 10s"))
        _tick(demo, 40.0 + lap * 120 + 5)
        costs[lap] = calls_made(lambda lap=lap: _tick(demo, 40.0 + lap * 120 + 60))  # type: ignore[misc]
        demo._go_on(40.0 + (lap + 1) * 120)
    assert costs[59] < 1.05 * costs[5]


async def _standing() -> Demo:
    demo = Demo(begin=40.0)
    await demo.start()
    await demo.attach(HookId("sources", "eth1"))
    return demo


def _tick(demo: Demo, now: float) -> None:
    for hook in {id.hook for id in demo._statuses}:
        demo._go_on(now)
        for id in demo._standing(hook):
            demo.sample(id, now)
        demo.rules()
