"""The bound on memory for a source that reads no kernel: a recording, or another host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from probes.ladder.row_limit import RowLimit
from probes.sources.live import memory


class Bounded:
    """The keeper of `rows`, such that the whole process uses no more than `most` bytes.

    used: bytes in use.
    """

    def __init__(self, most: int, used: Callable[[], int]) -> None:
        self.rows = RowLimit(memory.rows_for(most))
        self._bound = memory.Bound(most, self.rows, used, lambda: 0)
        self._held = time.monotonic()

    def hold(self) -> None:
        """Adjust the rows. To be called again and again."""
        self._held = time.monotonic()
        with suppress(OSError):  # without /proc nothing is known of it
            self._bound.hold()

    def hold_now_and_then(self) -> None:
        """Adjust the rows if that was not done lately."""
        if time.monotonic() >= self._held + memory.EVERY:
            self.hold()

    async def keep(self) -> None:
        """Adjust the rows from time to time, until cancelled."""
        while True:
            await asyncio.to_thread(self.hold)
            await asyncio.sleep(memory.EVERY)
