"""The rows that figures know, including those that went recently: one array slot for each.

A row keeps its slot until it is forgotten; slots of forgotten rows are used again.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from probes.arrays import FEW, np
from probes.columns.row_table import RowTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

Keys = Sequence[Hashable] | RowTable
"""The keys of a tick's rows, each once; a table stands for its rows' keys."""
MAX_GONE = 4000
"""Rows that are kept after they have gone, at most; fewer while memory is short."""


class KnownRows:
    """Rows by key. slots: of those of the latest tick, in their order.

    length: ticks for which rows that went are kept; most_gone: how many of them. first: of each
    slot, the tick at which its row came. back: slots of rows that came back with the latest tick,
    and how many they were away.
    """

    def __init__(self, length: int) -> None:
        self.keys: Keys = ()
        self.slots, self.first = array("i"), array("i")
        self.tick = 0
        self.back: list[tuple[int, int]] = []
        self.most_gone = MAX_GONE
        self._length = length
        self._index: dict[Hashable, int] = {}  # rows that went; the others as well if it is whole
        self._whole = True
        self._gone: dict[int, tuple[Hashable, int]] = {}  # by slot: key, last tick
        self._free: list[int] = []

    @property
    def number(self) -> int:
        """How many slots there are."""
        return len(self.first)

    # -- a tick --------------------------------------------------------------------------------

    def take(self, tick: int, keys: Keys) -> bool:
        """Take note of a tick's rows; return whether they are others than before."""
        self.tick = tick
        self.back = []
        same = self._same(keys)
        if not same:
            self.slots = self._slots_of(keys)
        self.keys = keys
        return not same

    def _same(self, keys: Keys) -> bool:
        before = self.keys
        if type(keys) is RowTable and type(before) is RowTable:
            if len(keys) != len(before):
                return False
            return np.array_equal(keys.places_in(before), np.arange(len(keys)))
        return type(keys) is type(before) and keys == before

    def _slots_of(self, keys: Keys) -> array[int]:
        """Return the slots of rows; those that went or came are noted."""
        before = self.keys
        if isinstance(keys, RowTable) and isinstance(before, RowTable):
            at = keys.places_in(before)
            there = at >= 0
            slots = np.full(len(keys), -1, "i4")
            slots[there] = ints(self.slots)[at[there]]
            went = np.ones(len(before), bool)
            went[at[there]] = False
            if went.any():
                self._let_go(before.at(went), ints(self.slots)[went].tolist())
            new = np.flatnonzero(~there)
            if len(new):
                slots[new] = self._welcome(keys.at(new))
            return slots_in(slots)
        self._complete()
        index = self._index
        found = array("i", [index.get(key, -1) for key in keys])
        gone = set(self.slots).difference(found)
        if gone:
            pairs = [(k, s) for k, s in zip(before, self.slots, strict=True) if s in gone]
            self._let_go([key for key, _ in pairs], [slot for _, slot in pairs])
        self._settle(keys, found)
        return found

    def _settle(self, keys: Iterable[Hashable], found: array[int]) -> None:
        """Fill in the slots of rows that were not there a tick before."""
        gone, index = self._gone, self._index
        if gone:
            for slot in gone.keys() & set(found):
                self._return(slot)
        if -1 in found:
            fresh = iter(self._some_slots(found.count(-1)))
            for place, key in enumerate(keys):
                if found[place] < 0:
                    found[place] = index[key] = next(fresh)

    def _welcome(self, new: RowTable) -> array[int]:
        """Return the slots of rows that were not there a tick before. No keys unless needed."""
        if not (self._gone or self._whole):
            return array("i", self._some_slots(len(new)))
        keys = list(new)
        found = array("i", [self._index.get(key, -1) for key in keys])
        for slot in found:
            if slot >= 0:
                self._return(slot)
        fresh = iter(self._some_slots(found.count(-1)))
        for place, key in enumerate(keys):
            if found[place] < 0:
                found[place] = next(fresh)
                if self._whole:
                    self._index[key] = found[place]
            elif not self._whole:
                del self._index[key]
        return found

    def _some_slots(self, number: int) -> Sequence[int]:
        free, begin = self._free, len(self.first)
        again = free[max(len(free) - number, 0) :]
        del free[max(len(free) - number, 0) :]
        for slot in again:
            self.first[slot] = self.tick
        self.first.extend(array("i", [self.tick]) * (number - len(again)))
        return [*again, *range(begin, len(self.first))] if again else range(begin, len(self.first))

    def _let_go(self, keys: Iterable[Hashable], slots: Sequence[int]) -> None:
        """Take note of rows that have gone, the oldest first."""
        last, first = self.tick - 1, self.first
        for key, slot in sorted(zip(keys, slots, strict=True), key=lambda one: first[one[1]]):
            self._gone[slot] = key, last
            self._index[key] = slot

    def _return(self, slot: int) -> None:
        self.back.append((slot, self.tick - 1 - self._gone.pop(slot)[1]))

    # -- asked for -----------------------------------------------------------------------------

    def find(self, key: Hashable) -> int:
        """Return a row's slot; -1: none is known by this key."""
        slot = self._index.get(key, -1)
        if slot >= 0 or self._whole:
            return slot
        if isinstance(self.keys, RowTable):
            place = self.keys.find(key)
            return self.slots[place] if place >= 0 else -1
        self._complete()
        return self._index.get(key, -1)

    def find_all(self, keys: Keys) -> Sequence[int]:
        """Return the slots of many rows, -1 for those that are not known."""
        if self._same(keys):
            return self.slots
        if not (type(keys) is RowTable and type(self.keys) is RowTable):
            self._complete()
            return [self._index.get(key, -1) for key in keys]
        at = keys.places_in(self.keys)
        found = np.where(at >= 0, ints(self.slots)[at] if self.slots else -1, -1)
        if self._gone:
            others = np.flatnonzero(at < 0)
            found[others] = [self._index.get(key, -1) for key in keys.at(others)]
        return slots_in(found)

    def keys_at(self, slots: Iterable[int]) -> set[Hashable]:
        """Return the keys of some rows."""
        wanted, keys = set(slots), self.keys
        there = [place for place, slot in enumerate(self.slots) if slot in wanted]
        found = {self._gone[slot][0] for slot in wanted & self._gone.keys()}
        if isinstance(keys, RowTable):
            return found.union(keys.at(np.array(there, np.intp)))
        return found.union([keys[place] for place in there])

    def last(self, slot: int) -> int:
        """Return the last tick with which a row was there."""
        return self._gone[slot][1] if slot in self._gone else self.tick

    def _complete(self) -> None:
        """Make the keys of all rows, from now on."""
        if not self._whole:
            self._whole = True
            self._index.update(zip(self.keys, self.slots, strict=True))

    # -- forgetting ----------------------------------------------------------------------------

    def sweep(self) -> list[int]:
        """Forget rows that went long ago, and all but the latest `most_gone` of those that went.

        Return their slots.
        """
        gone, before = self._gone, self.tick - self._length
        too_many = len(gone) - self.most_gone
        old = [s for n, (s, (_, last)) in enumerate(gone.items()) if n < too_many or last < before]
        for slot in old:
            del self._index[gone.pop(slot)[0]]
        self._free += old
        if isinstance(self.keys, RowTable) and self._whole and len(self.keys) > FEW:
            self._thin_out()
        return old

    def _thin_out(self) -> None:
        """Let go of the keys of rows that are there, unless somebody asks again."""
        self._whole = False
        self._index = {key: slot for slot, (key, _) in self._gone.items()}

    def forget(self, key: Hashable) -> list[int]:
        """Forget a row; return its slot, if it was known."""
        self._complete()
        slot = self.find(key)
        if slot < 0:
            return []
        del self._index[key]
        self._free.append(slot)
        if self._gone.pop(slot, None) is None:
            left = [(k, s) for k, s in zip(self.keys, self.slots, strict=True) if s != slot]
            self.keys, self.slots = [k for k, _ in left], array("i", [s for _, s in left])
        return [slot]


def ints(values: array[int]) -> NDArray[np.int32]:
    """Return an array of C integers as one of numpy's, on the same bytes: not to be kept."""
    return np.frombuffer(values, "i4") if values else np.zeros(0, "i4")


def slots_in(values: NDArray[Any]) -> array[int]:
    """Return numpy's integers as an array of C's."""
    made = array("i")
    made.frombytes(np.ascontiguousarray(values, "i4").view("u1").data)
    return made
