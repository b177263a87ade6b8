"""Room for the compiler within the memory limit: ebpftop makes it, waits for it, or refuses."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from math import inf

from probes.errors import ProbeError

COMPILER = 90_000_000
"""Bytes of one child of the compiler, at most (87.6 MB measured)."""
ROOM_WAIT = 4.0
"""Seconds to wait for room.

Less than `compiler.ROOM_SECONDS`, after which the child would be started all the same.
"""
LATELY = 60.0
"""Seconds after a refusal in which nobody waits for room again."""
WANTED, WANTED_REST = 60.0, 600.0
"""Seconds for which it is still wanted after a refusal, and until it is wanted again."""
_ABANDONED = 1.0
_STEP = 100_000_000


class Room:
    """Room for a child, within `limit` bytes. Asked from several threads.

    taken: bytes in use, and those by which existing children may still grow. give_back: called
    while there is no room.
    """

    def __init__(
        self, limit: int, taken: Callable[[], int], give_back: Callable[[], object]
    ) -> None:
        self._limit, self._taken, self._give_back = limit, taken, give_back
        self._lock = threading.Lock()
        self._waiting_since = self._asked = self._refused = self._wanted = -inf

    @property
    def wanted(self) -> bool:
        """Return whether somebody waits for it, or was refused it lately."""
        now = time.monotonic()
        return now < self._asked + _ABANDONED or now < self._wanted + WANTED

    def fits(self) -> bool:
        """Return whether there is room for all that children may still take."""
        return self._taken() <= self._limit

    def make(self) -> bool:
        """Return whether a child may be started now; if not, ask again.

        Raises ProbeError (ENOMEM, as it may be there later) where it was asked for long enough.
        """
        with self._lock:
            now = time.monotonic()
            if (taken := self._taken()) + COMPILER <= self._limit:
                self._asked = self._refused = self._wanted = -inf
                return True
            if now >= self._asked + _ABANDONED:
                self._waiting_since = now
            self._asked = now
            self._give_back()
            if now < self._refused + LATELY or now >= self._waiting_since + ROOM_WAIT:
                self._refused, self._asked = now, -inf
                # Where it was wanted in vain so far, rows come before it.
                if now >= self._wanted + WANTED + WANTED_REST:
                    self._wanted = now
                raise self._refusal(taken)
            return False

    def _refusal(self, taken: int) -> ProbeError:
        needed = taken + COMPILER
        return ProbeError(
            f"there is no room for the compiler: {_megabytes(taken)} are in use, it needs "
            f"{_megabytes(COMPILER)} more, and the limit is {_megabytes(self._limit)}; "
            "ebpftop tries again when there is room",
            errno=errno.ENOMEM,
            remedy=f"Allow more: --memory {-(-needed // _STEP) * _STEP // 1_000_000}.",
        )


def _megabytes(octets: int) -> str:
    return f"{octets / 1e6:.0f} MB"
