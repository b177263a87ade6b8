"""A time allowance for look-ups, which bounds what they add to a tick."""

from __future__ import annotations

from time import monotonic


class Allowance:
    """Seconds of work allowed in each second, for all callers together."""

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
