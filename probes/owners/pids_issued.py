"""Pids that were issued again: the process that had one before has ended.

The last number that was given out is in /proc/loadavg (proc(5)); the kernel gives them in turn, and
begins again at the end. Linux 4.15.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain

from probes.errors import raise_if_short
from probes.kernel import procfs
from probes.kernel.tick_cache import cached

MOST = 1 << 16
"""Numbers given out between two looks that are gone through; of more none is told."""


class PidsIssued:
    """Numbers given out since the last look. Not thread-safe."""

    def __init__(self) -> None:
        self._last = 0

    def since(self, known: Collection[int]) -> list[int]:
        """Return those of these numbers that were given out since this was last called.

        In one reading the kernel is asked once. Nothing at the first call, and where the kernel
        does not tell.
        """
        before, self._last = self._last, cached(_last)
        if not (before and self._last and known):
            return []
        return list(filter(known.__contains__, _given(before, self._last, max(known))))


def _given(before: int, last: int, highest: int) -> Iterable[int]:
    if before <= last:
        return range(before + 1, min(last, highest, before + MOST) + 1)
    return chain(range(before + 1, min(highest, before + MOST) + 1), range(1, min(last, MOST) + 1))


def _last() -> int:
    try:
        words = procfs.contents("/proc/loadavg").split()
    except OSError as refused:
        raise_if_short(refused)
        return 0
    return int(words[4]) if len(words) == 5 and words[4].isdigit() else 0
