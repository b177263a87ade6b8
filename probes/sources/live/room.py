"""Room for the compiler within the bound on memory: it is made, waited for a while, or refused."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from math import inf

from probes.errors import ProbeError

COMPILER = 90_000_000
"""Bytes of a child of the compiler's, at most (87.6 MB measured)."""
PATIENCE = 4.0
"""Seconds for which room is waited for; less than `compiler.ROOM_SECONDS`, after which it would be
started all the same."""
LATELY = 60.0
"""Seconds after a refusal in which nobody waits for room again."""
WANTED, REST = 60.0, 600.0
"""Seconds for which it is still wanted after a refusal, and until it is so once more."""
_ABANDONED = 1.0
_STEP = 100_000_000


class Room:
    """Whether there is room for a child, within `limit` bytes. Asked from several threads.

    taken: bytes that are used, and that children which are there may yet take. give_back: is done
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
        """Whether somebody waits for it, or was refused it lately."""
        now = time.monotonic()
        return now < self._asked + _ABANDONED or now < self._wanted + WANTED

    def fits(self) -> bool:
        """Whether all that children may yet take is there."""
        return self._taken() <= self._limit

    def make(self) -> bool:
        """Whether a child may be started now; if not, it is to be asked again.

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
            if now < self._refused + LATELY or now >= self._waiting_since + PATIENCE:
                self._refused, self._asked = now, -inf
                if now >= self._wanted + WANTED + REST:  # in vain so far: rows come before it
                    self._wanted = now
                raise self._refusal(taken)
            return False

    def _refusal(self, taken: int) -> ProbeError:
        needed = taken + COMPILER
        return ProbeError(
            f"there is no room for the compiler: {_megabytes(taken)} are used, it takes "
            f"{_megabytes(COMPILER)} more, and the bound is {_megabytes(self._limit)}; it is tried "
            "again when there is room",
            errno=errno.ENOMEM,
            remedy=f"Allow more: --memory {-(-needed // _STEP) * _STEP // 1_000_000}.",
        )


def _megabytes(octets: int) -> str:
    return f"{octets / 1e6:.0f} MB"
