"""Values that are too old to be kept one by one: the greatest of every few ticks.

Otherwise readings less than a second apart would reach back less than the 15 minutes that graphs
show.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

from probes.analysis.known_rows import ints
from probes.analysis.value_layout import TICKS
from probes.arrays import FEW, np

if TYPE_CHECKING:
    from probes.analysis.series import BlockValues

STEP = 16
"""Ticks of which one value is kept."""
SECONDS = 900.0
"""Seconds that they reach back."""


class CoarseBlock:
    """The greatest values of each `STEP` ticks of a block, place after place. begin: its tick."""

    __slots__ = ("_slots", "_values", "_width", "begin")

    def __init__(self, values: BlockValues) -> None:
        self.begin, self._slots = values.block.begin, values.block.slots
        self._width = min(values.width, len(self._slots))
        self._values = (
            _many(values, self._width) if self._width > FEW else _few(values, self._width)
        )

    @property
    def number(self) -> int:
        """How many values are kept."""
        return len(self._values)

    def of(self, slot: int) -> array[float]:
        """Return a row's values, the oldest first; none if it was not there."""
        place = self._place(slot)
        return self._values[place :: self._width] if place >= 0 else array("f")

    def _place(self, slot: int) -> int:
        if self._width > FEW:
            found = np.flatnonzero(ints(self._slots)[: self._width] == slot)
            return int(found[0]) if len(found) else -1
        known = self._slots[: self._width]
        return known.index(slot) if slot in known else -1


def _few(values: BlockValues, width: int) -> array[float]:
    found = array("f", [math.nan]) * (width * (TICKS // STEP))
    for place in range(width):
        kept = values.of(place, 0, TICKS)
        for n in range(TICKS // STEP):
            some = [v for v in kept[n * STEP : (n + 1) * STEP] if v == v]
            found[n * width + place] = max(some, default=math.nan)
    return found


def _many(values: BlockValues, width: int) -> array[float]:
    table = values.table(np.arange(width, dtype="i4"), 0, TICKS)
    whole = np.full((TICKS, width), -math.inf, "f4")
    whole[: len(table)] = np.where(np.isnan(table), -math.inf, table)
    most = whole.reshape(TICKS // STEP, STEP, width).max(axis=1)
    most[most == -math.inf] = math.nan
    found = array("f")
    found.frombytes(np.ascontiguousarray(most, "f4").tobytes())
    return found
