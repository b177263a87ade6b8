"""Releasing rungs: what outlives the process and could not be detached is not forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from probes.errors import call_each
from probes.ladder.standing import Standing
from probes.model import Rung
from probes.point import Held


class Releaser:
    """The releaser of one attachment's rungs.

    A stack unwinds once, whatever its parts raise. Only what lasts is still there after that; the
    rest went with its file descriptor.
    """

    def __init__(self) -> None:
        self._stuck: list[Held] = []

    def release(self, standing: Standing) -> None:
        """Release all of a rung, in reverse order. Raises the last error, if there was one."""
        try:
            standing.stack.close()
        except BaseException:
            self.keep(standing.rung, standing.held)
            raise

    def keep(self, rung: Rung, held: Iterable[Held]) -> None:
        """Note handles that may not have been detached: calling them again is harmless."""
        if rung.lasting:
            self._stuck += held

    @property
    def waits(self) -> bool:
        """Whether something may not have been detached."""
        return bool(self._stuck)

    def again(self) -> None:
        """Detach what could not be detached before. Raises the first error, if it still cannot."""
        stuck, self._stuck = self._stuck, []
        call_each(partial(self._detach, held) for held in stuck)

    def _detach(self, held: Held) -> None:
        try:
            held()
        except BaseException:
            self._stuck.append(held)
            raise
