"""When hooks are read: together, each interval, and twice as soon as all of them stand."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from probes.sources.live.pace import EARLY, SOON, ReadingPace

LEAST = 0.9
"""The share of a wait that a timer may be early by, at most."""


async def _moments(pace: ReadingPace, count: int) -> list[float]:
    begin, found = time.monotonic(), []
    for _ in range(count):
        await pace.wait("drops")
        found.append(time.monotonic() - begin)
    return found


@pytest.mark.parametrize("after", [0.0, 0.2, 0.55, 0.8])
async def test_what_has_just_been_attached_is_read_twice_at_once(after: float) -> None:
    """And again only when there was time for rates that are not of chance."""
    pace = ReadingPace(lambda: 0.6)
    asyncio.get_running_loop().call_later(after, pace.all_stand)
    moments = await _moments(pace, 4)
    first = next(n for n, moment in enumerate(moments) if moment >= after * LEAST)
    gaps = [b - a for a, b in pairwise(moments)]
    assert gaps[first] >= EARLY * LEAST
    assert gaps[first + 1] >= 0.3 * LEAST


async def test_hooks_are_read_together() -> None:
    pace = ReadingPace(lambda: 0.3)
    asyncio.get_running_loop().call_later(0.1, pace.all_stand)
    both = await asyncio.gather(_moments(pace, 4), _moments(pace, 4))
    assert all(abs(a - b) < 0.2 for a, b in zip(*both, strict=True))


async def test_the_early_readings_come_once() -> None:
    pace = ReadingPace(lambda: 0.4)
    pace.all_stand()
    await _moments(pace, 2)
    pace.all_stand()
    (moment,) = await _moments(pace, 1)
    assert moment > EARLY / 2


async def test_what_needs_no_attaching_is_read_twice_before_all_stand() -> None:
    """Once: the kernel's own counters have a rate with the first numbers on the screen."""
    pace = ReadingPace(lambda: 2.0)
    begin = time.monotonic()
    await pace.wait("interfaces", at_once=True)
    assert EARLY * LEAST <= time.monotonic() - begin < 1
    await pace.wait("interfaces", at_once=True)
    assert time.monotonic() - begin >= 2.0 * LEAST


async def test_what_is_attached_later_is_read_at_once_and_at_the_next_tick() -> None:
    pace = ReadingPace(lambda: 1.5)
    pace.all_stand()
    await _moments(pace, 2)
    asyncio.get_running_loop().call_later(0.1, pace.attached, "tls")
    asyncio.get_running_loop().call_later(0.2, pace.attached, "drops")
    (moment,) = await _moments(pace, 1)
    assert 0.2 * LEAST <= moment < 1
    (moment,) = await _moments(pace, 1)
    assert moment < 1.5


async def test_what_is_attached_just_before_a_tick_is_read_in_that() -> None:
    """Rates of an instant are of chance."""
    pace = ReadingPace(lambda: 0.8)
    pace.all_stand()
    await _moments(pace, 3)
    asyncio.get_running_loop().call_later(0.7, pace.attached, "drops")
    first, second = await _moments(pace, 2)
    assert second - first >= 0.8 * SOON * LEAST
