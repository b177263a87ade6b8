"""What `carried` does with rows, with the columns of many rows.

Each function returns None where that has to be done row by row: numbers of more than 62 bits, or
columns of several kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, TupleCells, joined, nothing
from probes.columns.row_table import RowTable
from probes.model import Hook

if TYPE_CHECKING:
    from numpy.typing import NDArray

Combine = Callable[[int, int], int]
_BITS = 61
"""Bits that numbers may have, so that the sum of two has no more than 62."""


def combined(
    hook: Hook, some: RowTable, others: RowTable, combine: Combine, arrays: Callable[..., Any]
) -> RowTable | None:
    """Return the rows of `some`; what adds up is combined with that of the others.

    arrays: what `combine` does, for arrays.
    """
    at, cells = some.places_in(others), list(some.cells)
    there = at >= 0
    if not there.any():
        return some
    for place, _, _ in hook.places.sums:
        other = others.cells[place].at(np.maximum(at, 0))
        made = _both(cells[place], _known(other, there), combine, arrays)
        if made is None:
            return None
        cells[place] = made
    return RowTable(cells, hook.places.keys)


def _known(cells: Cells, where: NDArray[np.bool_]) -> Cells:
    """Return cells of which only those with a flag are known."""
    return cells.with_raw(cells.raw, cells.flags() & where)


def _both(ours: Cells, theirs: Cells, combine: Combine, arrays: Callable[..., Any]) -> Cells | None:
    """Combine two columns; where one is not known and values add up, the other is the result."""
    mine, other = ours.flags(), theirs.flags()
    if not other.any():
        return ours
    if not mine.any():
        return theirs if combine is add else ours
    if type(ours) is not type(theirs) or ours.raw.shape[1:] != theirs.raw.shape[1:]:
        return None
    if not (_fits(ours) and _fits(theirs)):
        return None
    a, b = ours.raw.astype("i8"), theirs.raw.astype("i8")
    both, alone = mine & other, other & ~mine
    if a.ndim > 1:
        both, alone = both[:, None], alone[:, None]
    made = np.where(both, arrays(a, b), a)
    if combine is add:
        made, mine = np.where(alone, b, made), mine | other
    if isinstance(ours, TupleCells):
        return TupleCells.narrow(made, mine) if int(made.min()) >= 0 else None
    return NumberCells(made, mine)


def _fits(cells: Cells) -> bool:
    if not isinstance(cells, NumberCells | TupleCells) or cells.raw.dtype.kind not in "iu":
        return False
    return not cells.raw.size or (
        int(cells.raw.max()) >> _BITS == 0 and -int(cells.raw.min()) >> _BITS <= 0
    )


def both(first: RowTable, then: RowTable, hook: Hook) -> RowTable:
    """Return all rows: those of `then` where both have one, in the place of the former."""
    at = first.places_in(then)
    new = np.ones(len(then), bool)
    new[at[at >= 0]] = False
    mine = np.where(at >= 0, at + len(first), np.arange(len(first)))
    places = np.concatenate([mine, np.flatnonzero(new) + len(first)])
    cells = [joined(a, b).at(places) for a, b in zip(first.cells, then.cells, strict=True)]
    return RowTable(cells, hook.places.keys)


def after(first: RowTable, then: RowTable, hook: Hook) -> RowTable:
    """Return the rows of `first` that are in `then` no more, and then those of `then`."""
    gone = first.at(first.places_in(then) < 0)
    if not len(gone):
        return then
    cells = [joined(a, b) for a, b in zip(gone.cells, then.cells, strict=True)]
    return RowTable(cells, hook.places.keys)


def counting(hook: Hook, rows: RowTable, levels: Sequence[bool]) -> RowTable | None:
    """Return the rows that have counted anything; levels: columns that are not known any more."""
    some = np.zeros(len(rows), bool)
    for place, _, _ in hook.places.sums:
        cells = rows.cells[place]
        if not isinstance(cells, NumberCells | TupleCells):
            if not cells.flags().any():
                continue
            return None
        counted = cells.raw != 0
        some |= (counted.any(axis=1) if counted.ndim > 1 else counted) & cells.flags()
    kept = rows.at(some)
    empty = nothing(len(kept))
    at_rest = [empty if level else c for level, c in zip(levels, kept.cells, strict=True)]
    return RowTable(at_rest, hook.places.keys)


def least(hook: Hook, rows: RowTable, idle: NDArray[np.bool_], many: int) -> NDArray[Any] | None:
    """Return the places of so many idle rows that have counted least."""
    sums = np.zeros(len(rows), "i8")
    for place, _ in hook.places.counters:
        cells = rows.cells[place]
        if not _fits(cells) or (len(cells) and int(cells.raw.max()) >> 55):
            return None
        sums += np.where(cells.flags(), cells.raw.astype("i8"), 0)
    at = np.flatnonzero(idle)
    return at[np.argsort(sums[at], kind="stable")[: max(0, many)]]
