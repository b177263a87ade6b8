"""The bound on memory: how many rows fit into it, and what is done where it gets tight.

What is counted: RSS of this process and of those that it started (the compiler), and what its maps
are charged. A half or so is taken before any row is there (Python,
the screen, the maps), the rest is shared between rows, what is drawn of them, and the tape.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path

from probes.ladder.row_limit import RowLimit
from probes.units import quoted

DEFAULT = 200_000_000
"""Bytes."""
EVERY = 2.0
"""Seconds from one look to the next."""
_BASE = 90 << 20
COMPILER = 90 << 20
"""Bytes of a child of the compiler's, while it compiles."""
_ROW = 8 << 10
"""Bytes that a row takes in all: as read, its rates, its window of ten seconds, its history."""
_FEWEST = 500
_TIGHT, _EASY = 0.85, 0.7
"""Shares of the bound: above, fewer rows are kept; below, more again, up to what once was tight."""


def rows_for(limit: int) -> int:
    """How many rows fit into so many bytes."""
    return max((limit - _BASE) // _ROW, _FEWEST)


def compiles_for(limit: int) -> int:
    """How many sources may be compiled side by side within so many bytes."""
    return max((limit - _BASE) // COMPILER, 1)


class Bound:
    """Keeps `rows` such that no more than `limit` bytes are used.

    used: what is, without maps. compiling: whether the compiler is there, which needs its part.
    """

    def __init__(
        self, limit: int, rows: RowLimit, used: Callable[[], int], compiling: Callable[[], bool]
    ) -> None:
        self._limit, self._rows = limit, rows
        self._used, self._compiling = used, compiling
        self._most = rows_for(limit)

    def make_room(self) -> bool:
        """Before a compile: fewer rows from the next reading on. Whether there is enough by now."""
        self._rows.total = min(self._rows.total, rows_for(self._limit - COMPILER))
        gc.collect()
        _give_back()
        return self._used() + maps() + COMPILER <= self._limit

    def hold(self) -> None:
        """Called again and again."""
        _give_back()
        used = self._used() + maps()
        most = rows_for(self._limit - COMPILER) if self._compiling() else self._most
        if used > self._limit * _TIGHT:
            self._rows.total = self._most = max(int(self._rows.total * 0.75), _FEWEST)
            gc.collect()
        elif used < self._limit * _EASY:
            self._rows.total = min(int(self._rows.total * 1.3) + 1, most)
            self._most = min(int(self._most * 1.005) + 1, rows_for(self._limit))


def resident() -> int:
    """Bytes of this process in RAM."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def parse(text: str) -> int:
    """Megabytes, as "200" or "200M", in bytes. Raises ValueError with a sentence."""
    number = text.strip().upper().removesuffix("B").removesuffix("M").strip()
    if not (number.isascii() and number.isdecimal() and 100 <= int(number[:9]) <= 1_000_000):
        raise ValueError(
            f"{quoted(text)} is no bound on memory: write megabytes, from 100 on, as 200"
        )
    return int(number) * 1_000_000


def maps() -> int:
    """Bytes that the kernel charges for the maps that this process holds (proc_pid_fdinfo(5))."""
    charged: dict[bytes, int] = {}
    for file in Path("/proc/self/fdinfo").iterdir():
        try:
            said = file.read_bytes()
        except OSError:
            continue  # closed meanwhile
        if b"map_id:" in said:
            fields = dict(line.split(b":\t", 1) for line in said.splitlines() if b":\t" in line)
            charged[fields[b"map_id"]] = int(fields.get(b"memlock", b"0"))
    return sum(charged.values())


def _give_back() -> None:
    """What the allocator holds back goes to the kernel, where the C library has a word for it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
