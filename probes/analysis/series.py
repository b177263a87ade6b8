"""The latest values of a figure's rows, tick after tick, four bytes each."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from probes.analysis.anomaly import LENGTH
from probes.analysis.coarse import STEP, CoarseBlock
from probes.analysis.value_layout import TICKS, TickBlock, ValueLayout
from probes.arrays import FEW, np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = LENGTH + TICKS
"""Ticks that a row's values are kept for, at most."""
_UNKNOWN = array("f", [math.nan])


class BlockValues:
    """The values of a block: of each tick those of all its places, one after the other.

    Once many are complete, those that were the same at all ticks are kept once: `_steady`, by
    place. `_moving` has the places of the others.
    """

    __slots__ = ("_moving", "_steady", "_values", "block", "width")

    def __init__(self, block: TickBlock) -> None:
        self.block, self._values = block, array("f")
        self.width = len(block.slots)
        self._steady, self._moving = array("f"), array("i")

    @property
    def number(self) -> int:
        """How many values are kept."""
        return len(self._values) + len(self._steady)

    def add(self, tick: int, column: array[float]) -> None:
        """Add a tick's values, by place."""
        missing = (tick - self.block.begin) * self.width - len(self._values)
        if missing:
            self._values.extend(_UNKNOWN * missing)
        self._values.extend(column)

    def widen(self) -> None:
        """Make space for the rows that came, and for some more."""
        before, width = self.width, len(self.block.slots)
        if before:
            width += width // 16 + 2
            old, more = self._values, _UNKNOWN * (width - before)
            self._values = array("f")
            for begin in range(0, len(old), before):
                self._values += old[begin : begin + before]
                self._values += more
        self.width = width

    def complete(self) -> None:
        """Take less space: no tick is added any more."""
        if self.width <= FEW or len(self._values) != TICKS * self.width:
            return
        bits = np.frombuffer(self._values, "i4").reshape(TICKS, self.width)
        moving = np.flatnonzero((bits != bits[0]).any(axis=0))
        if len(moving) <= self.width // 2:
            steady = array("f", bits[0].tobytes())
            self._moving = array("i", moving.astype("i4").tobytes())
            self._values = array("f", bits[:, moving].tobytes())
            self._steady = steady

    def of(self, place: int, begin: int, end: int) -> array[float]:
        """Return the values at a place from one tick of the block to before another."""
        width = self.width
        if self._steady:
            at = bisect_left(self._moving, place)
            width = len(self._moving)
            if at == width or self._moving[at] != place:
                return self._steady[place : place + 1] * (min(end, TICKS) - begin)
            place = at
        return self._values[begin * width + place : end * width : width]

    def table(self, places: NDArray[np.int32], begin: int, end: int) -> NDArray[np.float32]:
        """Return the same of many places, as an array of ticks and places."""
        values = np.frombuffer(self._values, "f4") if self._values else np.zeros(0, "f4")
        if not self._steady:
            return values.reshape(-1, self.width)[begin:end, places]
        moving = np.frombuffer(self._moving, "i4") if self._moving else np.zeros(0, "i4")
        found = np.tile(np.frombuffer(self._steady, "f4")[places], (min(end, TICKS) - begin, 1))
        at = np.full(self.width, -1)
        at[moving] = np.arange(len(moving))
        some = np.flatnonzero(at[places] >= 0)
        if len(some):
            found[:, some] = values.reshape(TICKS, -1)[begin:end, at[places[some]]]
        return found


class Series:
    """The values of all rows that a figure has. What is not known is not a number."""

    def __init__(self, layout: ValueLayout) -> None:
        self._layout, self._rows = layout, layout.rows
        self._parts: list[BlockValues] = []
        self._coarse: list[CoarseBlock] = []

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
        old, since = self._rows.tick - MOST - TICKS, self._layout.since
        self._coarse = [part for part in self._coarse if part.begin + TICKS > since]
        for part in self._parts:
            if since - TICKS < part.block.begin <= old:
                self._coarse.append(CoarseBlock(part))
        self._parts = [p for p in self._parts if p.block.begin > old]
        if self._parts:
            self._parts[-1].complete()
        self._parts.append(BlockValues(block))

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
                found.extend(part.of(place, since - first, end - first))
        found.extend(_UNKNOWN * (end - begin - len(found)))
        return found

    def coarse(self, slot: int, begin: int) -> tuple[list[int], list[float]]:
        """Return a row's values since a tick that are not kept one by one; not a number: unknown.

        The tick of each is the last of those whose greatest it is.
        """
        first, ticks, values = self._rows.first[slot], list[int](), list[float]()
        for part in self._coarse:
            kept = part.of(slot)
            for n in range(TICKS // STEP):
                last = part.begin + (n + 1) * STEP - 1
                if last >= begin:
                    ticks.append(last)
                    values.append(kept[n] if kept and last >= first else math.nan)
        return ticks, values

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
            some = part.table(places[there], since - first, end - first)
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
