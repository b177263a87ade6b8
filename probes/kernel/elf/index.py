"""Functions of a file by their addresses, for names in stacks."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Hashable

from probes.kernel.elf.file import text

_MOST_INDEXES, _MOST_INDEX_BYTES = 64, 1 << 26
_SHOWN = 1 << 8
"""Characters of a name in a stack."""
_LARGEST = 1 << 24  # no function is larger


class Index:
    """Functions by address. Of several at one: one that is visible, and among these the first."""

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self._starts, self._sizes = array("Q"), array("Q")
        self._tables, self._places = array("B"), array("L")
        self._hidden = array("B")

    def add(self, address: int, size: int, place: int, *, visible: bool) -> None:
        self._starts.append(address)
        self._sizes.append(size or _LARGEST)  # what was written in assembly may have none
        self._tables.append(len(self.names) - 1)
        self._places.append(place)
        self._hidden.append(not visible)

    def sort(self) -> None:
        starts, hidden = self._starts, self._hidden
        order = array("L", sorted(range(len(starts)), key=lambda i: starts[i] << 1 | hidden[i]))
        self._starts, self._sizes, self._tables, self._places = (
            array(a.typecode, map(a.__getitem__, order))
            for a in (self._starts, self._sizes, self._tables, self._places)
        )
        self._hidden = array("B")

    def covering(self, address: int) -> str | None:
        n = bisect_right(self._starts, address) - 1
        if n < 0:
            return None
        n = bisect_left(self._starts, self._starts[n])  # the first of those at its address
        if address - self._starts[n] >= self._sizes[n]:
            return None
        return text(self.names[self._tables[n]], self._places[n])[:_SHOWN] or None

    @property
    def bytes(self) -> int:
        return sum(map(len, self.names)) + 25 * len(self._starts)


class Indexes:
    """Indexes used recently, as many as fit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Index] = OrderedDict()

    def get(self, file: Hashable) -> Index | None:
        with self._lock:
            if file in self._kept:
                self._kept.move_to_end(file)
            return self._kept.get(file)

    def put(self, file: Hashable, index: Index) -> None:
        with self._lock:
            self._kept[file] = index
            while len(self._kept) > 1 and (
                len(self._kept) > _MOST_INDEXES
                or sum(i.bytes for i in self._kept.values()) > _MOST_INDEX_BYTES
            ):
                self._kept.popitem(last=False)
