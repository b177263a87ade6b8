"""A share of time for looking things up, so that no tick grows by more."""

from __future__ import annotations

from time import monotonic


class Allowance:
    """So many seconds of work in each second, over all who ask."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._period, self._left = 0.0, seconds

    def begin(self) -> float:
        """Return when the work that begins now has to end (monotonic)."""
        now = monotonic()
        if now - self._period >= 1.0:
            self._period, self._left = now, self._seconds
        return now + self._left

    def end(self, until: float) -> None:
        """Note what is left of it."""
        self._left = max(until - monotonic(), 0.0)
