"""Rows that are equal in some columns, found by those columns' 64-bit words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, TupleCells, cells_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIX, _FOLD = 0x9E3779B97F4A7C15, 29
_WIDEST = 63
"""Bits that a sum may have in an array of integers."""


class EqualRows(NamedTuple):
    """Equal rows as one group, in the order of each group's first row.

    first: the place of that row. of: the group of each row.
    """

    first: NDArray[np.intp]
    of: NDArray[np.intp]

    def sums(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return each group's sum, along the first axis: Python's integers if they are large."""
        if len(self.first) == len(self.of):
            return numbers
        order = np.argsort(self.of, kind="stable")
        begin = np.searchsorted(self.of[order], np.arange(len(self.first)))
        wide = numbers.astype(object if large(numbers) else "i8")
        return np.add.reduceat(wide[order], begin, axis=0)

    def summed(self, cells: Cells) -> Cells | None:
        """Return the same of cells; None if they are no integers, or some are not known."""
        if not isinstance(cells, NumberCells | TupleCells) or cells.known is not None:
            return None
        if cells.raw.dtype.kind not in "iu":
            return None
        sums = self.sums(cells.raw)
        if sums.dtype.kind == "O":
            return cells_of(list(map(tuple, sums.tolist()) if sums.ndim > 1 else sums.tolist()))
        return TupleCells.narrow(sums) if sums.ndim > 1 else NumberCells(sums)


def large(numbers: NDArray[Any]) -> bool:
    """Return whether 63 bits may not hold the sum of integers."""
    if not numbers.size:
        return False
    most = max(int(numbers.max()), -int(numbers.min()))
    return bool(most * len(numbers) >> _WIDEST)


def total(numbers: NDArray[Any]) -> int:
    """Return the sum of integers, exactly."""
    return int(sum(numbers.tolist()) if large(numbers) else numbers.sum(dtype="i8"))


def hashed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a hash of each row's words."""
    mixed = np.zeros(len(words), "u8")
    for column in words.T:
        mixed = (mixed ^ column) * np.uint64(_MIX)
        mixed ^= mixed >> np.uint64(_FOLD)
    return mixed


def grouped(words: NDArray[np.uint64]) -> EqualRows:
    """Return the groups of equal rows."""
    first, of = _distinct(words)
    order = np.argsort(first)
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    return EqualRows(first[order], rank[of])


def alike(cells: Sequence[Cells]) -> EqualRows | None:
    """Return the groups of rows that are equal in these columns; None if they have no words."""
    if None in [c.space for c in cells]:
        return None
    return grouped(np.column_stack([c.words() for c in cells]))


def _distinct(words: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    _, first, of = np.unique(hashed(words), return_index=True, return_inverse=True)
    of = of.reshape(-1)
    if (words[first[of]] != words).any():  # two that differ have the same hash
        _, first, of = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return first, of.reshape(-1)


def words_of(*columns: NDArray[Any]) -> NDArray[np.uint64]:
    """Return integers, a column each, as words; signed ones as their bits."""
    kinds = [c.astype("i8" if c.dtype.kind == "i" else "u8").view("u8") for c in columns]
    return np.column_stack(kinds)
