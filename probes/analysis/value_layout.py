"""Layout of rows' values: in blocks of ticks, which figures of the same rows share.

In a block each row has a place: those that were there at its beginning, then those that came. So
rows that went take no space in the blocks after them.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable
from typing import TYPE_CHECKING

from probes.analysis.known_rows import Keys, KnownRows, ints, slots_in
from probes.arrays import FEW, np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TICKS = 16
"""Ticks of a block, and between two sweeps."""


class TickBlock:
    """The layout of some ticks' values. slots: of the row at each place."""

    __slots__ = ("begin", "slots")

    def __init__(self, begin: int, slots: array[int]) -> None:
        self.begin, self.slots = begin, slots

    def place(self, slot: int) -> int:
        """Return a row's place; -1: it has none."""
        slots = self.slots
        if slot < len(slots) and slots[slot] == slot:
            return slot
        if len(slots) > FEW:
            found = np.flatnonzero(ints(slots) == slot)
            return int(found[0]) if len(found) else -1
        return slots.index(slot) if slot in slots else -1

    def places(self, slots: NDArray[np.int32], most: int) -> NDArray[np.int32]:
        """Return the places of many rows; -1 for none. most: slots that there are."""
        found = np.full(most, -1, "i4")
        found[ints(self.slots)] = np.arange(len(self.slots), dtype="i4")
        return found[slots]


class ValueLayout:
    """The rows of some figures, and the block of the latest tick.

    places: in the block, of the rows of that tick; None: in their order. since: the tick of 15
    minutes ago.
    """

    def __init__(self, rows: KnownRows) -> None:
        self.rows, self.since = rows, 0
        self.block: TickBlock | None = None
        self.places: array[int] | None = None

    def take(self, tick: int, keys: Keys, since: int = 0) -> None:
        """Take note of a tick's rows. since: the tick of 15 minutes ago."""
        self.since = since
        changed = self.rows.take(tick, keys)
        if changed or self.block is None or tick - self.block.begin >= TICKS:
            self._lay_out(tick)

    def forget(self, key: Hashable) -> list[int]:
        """Forget a row; return its slot, if it was known."""
        slots = self.rows.forget(key)
        if slots and self.block is not None:
            self._lay_out(self.rows.tick)
        return slots

    def _lay_out(self, tick: int) -> None:
        block = self.block
        if block is None or tick - block.begin >= TICKS:
            block = self.block = self._next_block(tick)
        if len(self.rows.slots) > FEW:
            self._lay_out_many(block)
            return
        known = dict(zip(block.slots, range(len(block.slots)), strict=True))
        added = [slot for slot in self.rows.slots if slot not in known]
        if added:
            known.update(zip(added, range(len(known), len(known) + len(added)), strict=True))
            block.slots = block.slots + array("i", added)  # others may have the same layout
        in_order = self.rows.slots == block.slots
        self.places = None if in_order else array("i", [known[slot] for slot in self.rows.slots])

    def _lay_out_many(self, block: TickBlock) -> None:
        slots = ints(self.rows.slots)
        places = block.places(slots, self.rows.number)
        added = slots[places < 0]
        if len(added):
            block.slots = block.slots + slots_in(added)
            places = block.places(slots, self.rows.number)
        self.places = None if self.rows.slots == block.slots else slots_in(places)

    def _next_block(self, tick: int) -> TickBlock:
        """Return another block; it begins with the tick after a sweep."""
        before = self.block
        same = before is not None and len(before.slots) == len(self.rows.slots)
        slots = before.slots if before is not None and same else self.rows.slots[:]
        return TickBlock(tick - (tick - 1) % TICKS, slots)
