"""The bound on memory: how many rows fit into it, and what is done when it gets tight.

What is counted: RSS of this process and of those that it started (the compiler), and what its maps
are charged. About half is taken before there is any row (Python, the screen, the maps); the rest is
shared between rows, what is drawn of them, and the tape.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf

from probes.ladder.row_limit import RowLimit
from probes.sources.live import expected
from probes.sources.live.room import COMPILER, Room
from probes.sources.live.usage import Maps, maps
from probes.units import quoted

DEFAULT = 200_000_000
"""Bytes, where there are no more than `CPUS`."""
CPUS = 32
"""Number of CPUs beyond which the maps of each are added, so that there is room for rows."""
EVERY = 2.0
"""Seconds from one look to the next; half of that while more and more is used."""
_SELDOM, _OFTEN = 10.0, 2.0
"""Seconds from one look at what maps take to the next: usually, and while more is used."""
_WORTH, _LONGEST_PAUSE = 20_000, 60.0
"""Objects of garbage that are worth a pause; seconds between two collections at most."""
_BASE = 90 << 20
_ROW = 8 << 10
"""Bytes that a row takes in all: as read, its rates, its window of ten seconds, its history."""
_MUCH = 1.05
"""Times as much as at the latest look at the maps: more is used."""
_FEWEST = 500
_TIGHT, _EASY = 0.8, 0.68
"""Shares of the bound: above, fewer rows are kept; below, more again, up to what once was tight."""
_SHORT = 0.72
"""The share from which less of the past is kept, and nothing more should be attached unasked."""


def default() -> int:
    """Return the bound where nothing is said, in bytes."""
    return DEFAULT + max(expected.cpus() - CPUS, 0) * expected.OF_A_CPU


def rows_for(limit: int) -> int:
    """Return how many rows fit into so many bytes."""
    return max((limit - _BASE) // _ROW, _FEWEST)


def compiles_for(limit: int) -> int:
    """Return how many sources may be compiled side by side within so many bytes."""
    return max((limit - _BASE) // COMPILER, 1)


class Bound:
    """The keeper of `rows`, such that no more than `limit` bytes are used.

    used: bytes in use, without maps. growth: what the compiler's children may take beside that; 0:
    there are none. room: called before another one is started. is_tight: less of the past should be
    kept, and nothing more be attached unasked. every: seconds until `hold` should be called again.
    """

    def __init__(
        self, limit: int, rows: RowLimit, used: Callable[[], int], growth: Callable[[], int]
    ) -> None:
        self._limit, self._rows = limit, rows
        self._used, self._growth = used, growth
        self._most = rows_for(limit)
        self._maps = Maps()
        self._collected = self._asked = -inf
        self._pause = EVERY
        self._charged = self._used_then = 0
        self.is_tight, self.every = False, EVERY
        self.room = Room(limit, self._taken, self._leave_room)

    def is_narrow(self, expected: int) -> bool:
        """Return whether the compiler will have no room once so many bytes more are used.

        False where that cannot be told: for want of files nothing can be compiled anyway.
        """
        with suppress(OSError):
            return self._used() + maps() + expected + COMPILER > self._limit
        return False

    def hold(self) -> None:
        """Adjust the rows. To be called again and again."""
        _give_back()
        used, growth, wanted = self._in_use(), self._growth(), self.room.wanted
        self.is_tight = used > self._limit * _SHORT
        if used > self._limit * _TIGHT:
            fit = self._rows.total - int(used - self._limit * _TIGHT) // _ROW
            self._rows.total = self._most = max(min(int(self._rows.total * 0.75), fit), _FEWEST)
            self._collect()
        elif used + growth + (COMPILER if wanted else 0) > self._limit:
            self._rows.total = max(int(self._rows.total * 0.75), _FEWEST)
            self._collect()
        elif used < self._limit * _EASY:
            most = rows_for(self._limit - COMPILER) if growth or wanted else self._most
            self._rows.total = min(int(self._rows.total * 1.3) + 1, most)
            self._most = min(int(self._most * 1.005) + 1, rows_for(self._limit))

    def _in_use(self) -> int:
        """Return the bytes in use. Far below the bound, maps are asked only now and then."""
        used, now = self._used(), time.monotonic()
        grows = used + self._charged > self._limit * _EASY or used > self._used_then * _MUCH
        self.every = EVERY / 2 if grows else EVERY
        if now >= self._asked + (_OFTEN if grows else _SELDOM):
            self._charged, self._asked, self._used_then = self._maps(), now, used
        return used + self._charged

    def _taken(self) -> int:
        return self._used() + maps() + self._growth()

    def _leave_room(self) -> None:
        """Keep fewer rows from the next reading on."""
        self._rows.total = min(self._rows.total, rows_for(self._limit - COMPILER))
        self._collect()

    def _collect(self) -> None:
        """Collect garbage, seldom: nothing else runs meanwhile, for a tenth of a second or more.

        More seldom while there is hardly any.
        """
        if time.monotonic() >= self._collected + self._pause:
            found = gc.collect()
            _give_back()
            self._pause = EVERY if found > _WORTH else min(2 * self._pause, _LONGEST_PAUSE)
            self._collected = time.monotonic()


def parse(text: str) -> int:
    """Return bytes, from megabytes as "200" or "200M". Raises ValueError with a sentence."""
    number = text.strip().upper().removesuffix("B").removesuffix("M").strip()
    if not (number.isascii() and number.isdecimal() and 100 <= int(number[:9]) <= 1_000_000):
        raise ValueError(
            f"{quoted(text)} is not a memory limit: write megabytes, from 100 on, such as 200"
        )
    return int(number) * 1_000_000


def _give_back() -> None:
    """Return unused memory of the allocator to the kernel, where the C library can do that."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
