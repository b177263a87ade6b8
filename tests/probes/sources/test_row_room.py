"""Whatever a moment from elsewhere has in it: each row is kept as it was, or counted."""

from __future__ import annotations

import asyncio
import random
from functools import cache

import pytest

from bench.busy_host import Host
from probes.hooks import catalogue
from probes.recording.codec import Malformed
from probes.recording.compat import SchemaAdapter
from probes.recording.decoder import Decoder
from probes.recording.encoder import Encoder, Tick
from probes.sources.row_room import RowRoom
from tests.support.hostile import mutated, spoiled
from tests.support.recordings import demo_ticks


@cache
def _sound() -> list[list[bytes]]:
    recorded = list(map(spoiled, asyncio.run(demo_ticks(6)))), list(Host(60, 4).ticks(6))
    found = []
    for ticks in recorded:
        encoder = Encoder(catalogue())
        found.append([encoder.encode(tick, key=not n) for n, tick in enumerate(ticks)])
    return found


@pytest.mark.parametrize("seed", range(120))
def test_each_row_is_kept_or_counted(seed: int) -> None:
    """Damaged frames, with the same target twice, and room that changes at each of them."""
    dice, hooks = random.Random(seed), catalogue()
    decoder, fitting = Decoder(), SchemaAdapter(hooks)
    room = RowRoom(lambda _: dice.choice([0, 1, 5, 50, 500]))
    for n, frame in enumerate(dice.choice(_sound())):
        read = mutated(frame, dice) if dice.random() < 0.25 else frame
        try:
            tick = fitting.tick(decoder.decode(read, key=not n), decoder.layouts)
        except Malformed:
            return
        _check(tick, room.tick(tick, hooks))


def _check(tick: Tick, kept: Tick) -> None:
    assert kept.samples.keys() == tick.samples.keys()
    for hook, samples in tick.samples.items():
        for whole, part in zip(samples, kept.samples[hook], strict=True):
            assert len(part.rows) + part.forgotten == len(whole.rows) + whole.forgotten
            assert part.rows.items() <= whole.rows.items()
