"""Rows that are equal in some columns, found by those columns' 64-bit words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from probes.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIX, _FOLD = 0x9E3779B97F4A7C15, 29
_MOST = 63
"""Bits that a sum may have."""


class Groups(NamedTuple):
    """Equal rows as one group, in the order of each group's first row.

    first: the place of that row. of: the group of each row.
    """

    first: NDArray[np.intp]
    of: NDArray[np.intp]

    def sums(self, numbers: NDArray[Any]) -> NDArray[Any] | None:
        """Return the sum of each group, along the first axis; None if 64 bits may not hold it."""
        if numbers.size:
            most = max(int(numbers.max()), -int(numbers.min()))
            if most * len(numbers) >> _MOST:
                return None
        if len(self.first) == len(self.of):
            return numbers
        order = np.argsort(self.of, kind="stable")
        begin = np.searchsorted(self.of[order], np.arange(len(self.first)))
        wide = numbers.astype("i8")
        return np.add.reduceat(wide[order], begin, axis=0)


def hashed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a hash of each row's words."""
    mixed = np.zeros(len(words), "u8")
    for column in words.T:
        mixed = (mixed ^ column) * np.uint64(_MIX)
        mixed ^= mixed >> np.uint64(_FOLD)
    return mixed


def grouped(words: NDArray[np.uint64]) -> Groups | None:
    """Return the groups of equal rows; None if two that differ have the same hash."""
    _, first, of = np.unique(hashed(words), return_index=True, return_inverse=True)
    of = of.reshape(-1)
    if (words[first[of]] != words).any():
        return None
    order = np.argsort(first)
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    return Groups(first[order], rank[of])


def words_of(*columns: NDArray[Any]) -> NDArray[np.uint64]:
    """Return integers, a column each, as words; signed ones as their bits."""
    kinds = [c.astype("i8" if c.dtype.kind == "i" else "u8").view("u8") for c in columns]
    return np.column_stack(kinds)
