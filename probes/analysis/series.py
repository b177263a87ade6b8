"""The latest values of a figure's rows, tick after tick, four bytes each."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

from probes.analysis.anomaly import LENGTH
from probes.analysis.value_layout import TICKS, TickBlock, ValueLayout
from probes.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = LENGTH + TICKS
"""Ticks that a row's values are kept for, at most."""
_UNKNOWN = array("f", [math.nan])


class _Part:
    """The values of a block: of each tick those of all its places, one after the other."""

    __slots__ = ("block", "values", "width")

    def __init__(self, block: TickBlock) -> None:
        self.block, self.values = block, array("f")
        self.width = len(block.slots)

    def add(self, tick: int, column: array[float]) -> None:
        """Add a tick's values, by place."""
        missing = (tick - self.block.begin) * self.width - len(self.values)
        if missing:
            self.values.extend(_UNKNOWN * missing)
        self.values.extend(column)

    def widen(self) -> None:
        """Make space for the rows that came, and for some more."""
        before, width = self.width, len(self.block.slots)
        if before:
            width += width // 16 + 2
            old, more = self.values, _UNKNOWN * (width - before)
            self.values = array("f")
            for begin in range(0, len(old), before):
                self.values += old[begin : begin + before]
                self.values += more
        self.width = width

    def table(self) -> NDArray[np.float32]:
        """Return the values as one array of ticks and places: not to be kept."""
        return np.frombuffer(self.values, "f4").reshape(-1, self.width)


class Series:
    """The values of all rows that a figure has. What is not known is not a number."""

    def __init__(self, layout: ValueLayout) -> None:
        self._layout, self._rows = layout, layout.rows
        self._parts: list[_Part] = []

    def add(self, values: list[float] | NDArray[np.float64]) -> None:
        """Add the values of the rows of the latest tick."""
        rows, block = self._rows, self._layout.block
        assert block is not None
        if not self._parts or self._parts[-1].block is not block:
            self._next_part(block)
        part = self._parts[-1]
        if part.width < len(block.slots):
            part.widen()
        if part.width:
            part.add(rows.tick, self._column(values, part.width))

    def _next_part(self, block: TickBlock) -> None:
        old = self._rows.tick - MOST - TICKS
        self._parts = [p for p in self._parts if p.block.begin > old]
        self._parts.append(_Part(block))

    def _column(self, values: list[float] | NDArray[np.float64], width: int) -> array[float]:
        places = self._layout.places
        if isinstance(values, list):
            if places is None and len(values) == width:
                return array("f", values)
            column = _UNKNOWN * width
            for place, value in zip(places or range(len(values)), values, strict=True):
                column[place] = value
            return column
        column = _UNKNOWN * width
        into = np.frombuffer(column, "f4")
        with np.errstate(over="ignore"):
            into[slice(len(values)) if places is None else np.frombuffer(places, "i4")] = values
        return column

    def of(self, slot: int, begin: int, end: int) -> array[float]:
        """Return a row's values of some ticks, the last of which is before `end`."""
        found = array("f")
        for part in self._parts:
            first, width = part.block.begin, part.width
            if first >= end or first + TICKS <= begin:
                continue
            since = max(begin, first)
            found.extend(_UNKNOWN * (since - begin - len(found)))
            place = part.block.place(slot)
            if 0 <= place < width:
                found.extend(
                    part.values[(since - first) * width + place : (end - first) * width : width]
                )
        found.extend(_UNKNOWN * (end - begin - len(found)))
        return found

    def window(self, slots: NDArray[np.int32], begin: int, end: int) -> NDArray[np.float32]:
        """Return the same of many rows: an array of ticks and rows."""
        found = np.full((end - begin, len(slots)), math.nan, "f4")
        for part in self._parts:
            first = part.block.begin
            if first >= end or first + TICKS <= begin or not part.width:
                continue
            places = part.block.places(slots, self._rows.number)
            there = (places >= 0) & (places < part.width)
            since = max(begin, first)
            some = part.table()[since - first : end - first, places[there]]
            found[since - begin : since - begin + len(some), there] = some
        return found

    def span(self, slot: int) -> tuple[int, int]:
        """Return the first and the last tick that a row's values are known for.

        Of those that are too old, `TICKS` are forgotten at once.
        """
        first, last = self._rows.first[slot], self._rows.last(slot)
        over = last - first + 1 - MOST
        return first + (-(-over // TICKS) * TICKS if over > 0 else 0), last

    def listed(self, slot: int, until: int, most: int) -> list[float | None]:
        """Return at most `most` values of a row up to a tick, newest last.

        Values of ticks after the latest are None.
        """
        first, last = self.span(slot)
        begin = first + max(until - first + 1 - most, 0)
        kept = self.of(slot, begin, min(until, last) + 1)
        found: list[float | None] = [None if v != v else v for v in kept]
        return (found + [None] * min(until - last, LENGTH))[-most:]
