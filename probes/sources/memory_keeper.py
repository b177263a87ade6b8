"""The bound on memory for sources that read no kernel: a recording, or other hosts."""

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
        self._taken: list[int] = []

    def share(self) -> Callable[[int], int]:
        """Return a function for one source: how many of its rows fit.

        Given the bytes that reading its moment takes, which all the others have to do with, too.
        """
        place = len(self._taken)
        self._taken.append(0)

        def fits(taken: int) -> int:
            self._taken[place] = taken
            rows = min(self._rows.total, memory.rows_for(self._most - sum(self._taken)))
            return rows // len(self._taken)

        return fits

    @property
    def is_tight(self) -> bool:
        """Whether memory is short: less of the past should be kept."""
        return self._bound.is_tight

    def hold(self) -> None:
        """Adjust the rows. To be called again and again."""
        with suppress(OSError):  # without /proc nothing is known of it
            self._bound.hold()
        self._held = time.monotonic()

    def hold_now_and_then(self) -> None:
        """Adjust the rows if that was not done lately."""
        if time.monotonic() >= self._held + self._bound.every:
            self.hold()

    async def keep(self) -> None:
        """Adjust the rows from time to time, until cancelled; each of the sources may do it."""
        while True:
            await asyncio.sleep(self._bound.every)
            self.hold_now_and_then()
