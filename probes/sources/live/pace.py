"""When to read: every interval, all hooks together, and twice as soon as all of them stand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from probes.source import next_tick

EARLY = 0.25
"""Seconds between the two readings that give the first rates."""


class ReadingPace:
    """The moments of reading of a live source. interval: seconds from one to the next."""

    def __init__(self, interval: Callable[[], float]) -> None:
        self._interval = interval
        self._started = time.monotonic()
        self._stand = asyncio.Event()
        self._early = self._started

    def until_next(self) -> float:
        """Return the seconds to the next tick.

        All hooks tick together, so the screen wakes once.
        """
        return next_tick(self._started, self._interval())

    def all_stand(self) -> None:
        """Have two readings now: a program that has just been attached has no rate before."""
        if not self._stand.is_set():
            self._early = time.monotonic() + EARLY
            self._stand.set()

    async def wait(self) -> None:
        """Wait for the next reading."""
        if self._stand.is_set():
            await asyncio.sleep(self._left())
            return
        try:
            async with asyncio.timeout(self.until_next()):
                await self._stand.wait()
        except TimeoutError:
            return

    def _left(self) -> float:
        """Return the seconds to the next reading; none is soon after the early ones."""
        now = time.monotonic()
        if now < self._early:
            return self._early - now
        left, interval = self.until_next(), self._interval()
        return left if now + left >= self._early + interval / 2 else left + interval
