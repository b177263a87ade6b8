"""Random mixes of drops: what is lost at each stage is what nstat, ip, tc and nft count there."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from probes.ladder.attachment import Modules
from tests.support import drop_causes
from tests.support.drop_causes import Cause
from tests.support.funnels import Watch, watching
from tests.support.namespaces import namespace

pytestmark = pytest.mark.kernel

Stages = Counter[tuple[str, str]]
"""Packets by interface and stage."""
WHOLE = ("v0", "w0", "x0")
"""Interfaces of which nothing is lost but by the causes; v1 gets what v0 answers."""


@pytest.mark.parametrize("seed", range(3))
def test_any_mix_of_drops_adds_up(modules: Modules, seed: int) -> None:
    """Each packet is lost at one stage, whatever else happens meanwhile."""
    dice = random.Random(seed)
    with namespace(), drop_causes.ready() as causes, watching(modules) as watch:
        mix = dice.sample(causes, dice.randint(len(causes) // 2, len(causes)))
        before = drop_causes.counters()
        sent = _drop(mix, dice)
        deadline = time.monotonic() + 5  # a guest's CPU comes late to what a veth handed over
        while True:
            after = drop_causes.counters()
            grown = {name: after[name] - before.get(name, 0) for name in after}
            told, expected = _told(watch, mix), _expected(mix, sent, grown)
            exact = [c for c in mix if c.counter and c.stage not in ("qdisc", "wire")]
            late = {c.name for c in exact if grown[c.counter] != sent[c.name]}
            if (told == expected and not late) or time.monotonic() > deadline:
                break
    assert not late
    assert told == expected, sent


def _drop(mix: Sequence[Cause], dice: random.Random) -> Counter[str]:
    """Causes them in turn, a few packets at a time; how many each got."""
    sent: Counter[str] = Counter()
    turns = [cause for cause in mix for _ in range(dice.randint(1, 3))]
    dice.shuffle(turns)
    for cause in turns:
        number = dice.randint(1, 12)
        cause.drop(number)
        sent[cause.name] += number
    return sent


def _expected(
    mix: Sequence[Cause], sent: Mapping[str, int], grown: Mapping[str, int]
) -> tuple[Stages, Stages]:
    """As the independent counters have them: what is lost, and what is ordinary."""
    lost: Stages = Counter()
    ordinary: Stages = Counter()
    for cause in mix:
        into = ordinary if cause.ordinary else lost
        number = (cause.counter and grown[cause.counter]) or sent[cause.name]
        into[cause.interface, cause.stage] += number
    return lost, ordinary


def _told(watch: Watch, mix: Sequence[Cause]) -> tuple[Stages, Stages]:
    """What the funnel says."""
    lost: Stages = Counter()
    ordinary: Stages = Counter()
    at = {(cause.interface, cause.stage) for cause in mix}
    for interface in sorted({*WHOLE, *(place for place, _ in at)}):
        for stage in watch.funnel(interface):
            place = interface, stage.name
            if (interface in WHOLE or place in at) and stage.lost and stage.lost.total:
                lost[place] = stage.lost.total
            if interface in WHOLE and stage.ordinary and stage.ordinary.total:
                ordinary[place] = stage.ordinary.total
    return lost, ordinary
