"""Pace of readings: all hooks together at every interval, and twice as soon as all are attached.

A hook is also read as soon as something of it is attached; what needs no attaching, twice at the
start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

from probes.source import next_tick

EARLY = 0.25
"""Seconds between the two readings that give the first rates."""
SOON = 0.25
"""The share of the interval that two readings are apart at least."""


class ReadingPace:
    """The moments of reading of a live source. interval: seconds from one to the next."""

    def __init__(self, interval: Callable[[], float]) -> None:
        self._interval = interval
        self._started = time.monotonic()
        self._stand = False
        self._early = self._started
        self._waiting: dict[asyncio.Future[bool], str] = {}
        self._attached: set[str] = set()
        self._begun: set[str] = set()

    def until_next(self) -> float:
        """Return the seconds to the next tick.

        All hooks tick together, so the screen wakes once.
        """
        return next_tick(self._started, self._interval())

    def all_stand(self) -> None:
        """Have two readings now: a program that has just been attached has no rate before."""
        if not self._stand:
            self._early = time.monotonic() + EARLY
            self._stand = True
            self._wake_all(set(self._waiting.values()))

    def attached(self, hook: str) -> None:
        """Have a reading of it now: its rates are known at the next tick, not the one after.

        Unless that tick is too soon for rates.
        """
        self._attached.add(hook)
        if self._stand:
            self._wake_all((hook,))

    def _wake_all(self, hooks: Collection[str]) -> None:
        for waiting, hook in self._waiting.items():
            if hook in hooks:
                _wake(waiting, early=True)

    async def wait(self, hook: str, *, at_once: bool = False) -> None:
        """Wait for the hook's next reading. at_once: its rates need not wait for the others."""
        stand = self._stand
        left = self._left() if stand else self.until_next()
        if at_once and hook not in self._begun:
            self._begun.add(hook)
            left = min(left, EARLY)
        end = time.monotonic() + left
        attached = (stand and hook in self._attached) or await self._woken(hook, left)
        if attached and stand and self.until_next() < self._interval() * SOON:
            await asyncio.sleep(end - time.monotonic())
        self._attached.discard(hook)

    async def _woken(self, hook: str, seconds: float) -> bool:
        """Wait so long, or until the hook is to be read earlier; return whether it is.

        There are dozens of hooks, most of which are not attached: no exception ends their waits.
        """
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[bool] = loop.create_future()
        self._waiting[woken] = hook
        timer = loop.call_later(seconds, _wake, woken)
        try:
            return await woken
        finally:
            timer.cancel()
            del self._waiting[woken]

    def _left(self) -> float:
        """Return the seconds to the next reading; none is soon after the early ones."""
        now = time.monotonic()
        if now < self._early:
            return self._early - now
        left, interval = self.until_next(), self._interval()
        return left if now + left >= self._early + interval / 2 else left + interval


def _wake(waiting: asyncio.Future[bool], *, early: bool = False) -> None:
    if not waiting.done():
        waiting.set_result(early)
