"""The bound on memory for a source that reads no kernel: a recording, or another host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from probes.ladder.row_limit import RowLimit
from probes.sources.live import memory


class MemoryKeeper:
    """The keeper of a number of rows, such that the process uses no more than `most` bytes.

    used: bytes in use.
    """

    def __init__(self, most: int, used: Callable[[], int]) -> None:
        self._most, self._rows = most, RowLimit(memory.rows_for(most))
        self._bound = memory.Bound(most, self._rows, used, lambda: 0)
        self._held = time.monotonic()

    def fits(self, taken: int) -> int:
        """Return the rows that fit beside a moment that takes so many bytes to be read."""
        return min(self._rows.total, memory.rows_for(self._most - taken))

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
            self.hold()
            await asyncio.sleep(memory.EVERY)
