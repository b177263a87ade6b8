"""Retries of what failed, with growing pauses."""

from __future__ import annotations

import time

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds until what failed by an exception is attached again; doubled each time."""


class RetryClock:
    """The time at which an attachment is tried again. at: monotonic seconds; None: it is not."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.pause = FIRST_PAUSE

    @property
    def due(self) -> bool:
        return self.at is not None and time.monotonic() >= self.at

    def later(self) -> None:
        self.at = time.monotonic() + self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

    def never(self) -> None:
        self.at = None

    def begin(self) -> None:
        """Start again from the first pause."""
        self.pause = FIRST_PAUSE

    def stood_since(self, since: float) -> None:
        """Note a failure.

        Since: when it began to work (monotonic), which resets the pause if long ago.
        """
        if time.monotonic() - since > 2 * self.pause:
            self.begin()
