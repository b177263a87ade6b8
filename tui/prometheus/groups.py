"""A reading for export as columns: its rows by their labels, without a Python value for each.

Rows with the same labels are a group. `Sums` adds up what the rows of each chosen group have, and
what all others have together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, TupleCells
from probes.columns.groups import alike
from probes.columns.row_table import RowTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

Number = int | float | tuple[int, ...] | None
_SAFE = 1 << 57
"""Sums below it can be added up, those of 32 columns."""


class NoLabels(Exception):
    """The labels have no words: rows are exported one by one."""


class LabelGroups:
    """The groups of a table's rows. labels: the columns that name a row.

    names: a row for each group, in the order of their first rows. first: these rows' places. of:
    the group of each row. Raises NoLabels.
    """

    def __init__(self, table: RowTable, labels: Sequence[int]) -> None:
        cells = [table.cells[place] for place in labels]
        found = alike(cells) if cells and len(table) else None
        if found is None:
            raise NoLabels
        self.first, self.of = found
        self.names = RowTable([c.at(self.first) for c in cells], tuple(range(len(cells))))

    def __len__(self) -> int:
        return len(self.first)


class Sums:
    """Sums by a number from 0 on: a row's slot. slots: of each row."""

    def __init__(self, slots: NDArray[np.intp]) -> None:
        self._order = np.argsort(slots, kind="stable")
        ordered = slots[self._order]
        self._starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        self.slots: list[int] = ordered[self._starts].tolist()
        "Those that have rows, in the order of what is returned."

    def array(self, cells: Cells) -> NDArray[Any]:
        """Return the sum of each slot, to which what is not known adds nothing."""
        raw = _exact(_zero_where_unknown(cells, 0))
        summed: NDArray[Any] = np.add.reduceat(raw[self._order], self._starts)
        return summed

    def added(self, cells: Cells) -> list[Number]:
        """Return the sum of each slot; None where nothing is known."""
        made = self.array(cells).tolist()
        return self._with_unknown(list(map(tuple, made)) if cells.raw.ndim > 1 else made, cells)

    def greatest(self, cells: Cells) -> list[Number]:
        """Return the greatest of each slot; None where nothing is known."""
        raw = _zero_where_unknown(cells, cells.raw.min())[self._order]
        return self._with_unknown(np.maximum.reduceat(raw, self._starts).tolist(), cells)

    def _with_unknown(self, made: list[Number], cells: Cells) -> list[Number]:
        if cells.known is None:
            return made
        known = np.add.reduceat(cells.known[self._order].astype("i8"), self._starts)
        for place in np.flatnonzero(known == 0).tolist():
            made[place] = None
        return made


def are_summed(cells: Cells) -> bool:
    """Return whether `Sums` has sums of such cells: numbers, or tuples of them."""
    return isinstance(cells, NumberCells | TupleCells) and cells.raw.dtype.kind in "iuf"


def _zero_where_unknown(cells: Cells, zero: Any) -> NDArray[Any]:
    if cells.known is None:
        return cells.raw
    wanted = cells.known if cells.raw.ndim == 1 else cells.known[:, None]
    return np.where(wanted, cells.raw, np.full(1, zero, cells.raw.dtype))


def _exact(raw: NDArray[Any]) -> NDArray[Any]:
    """Return the array whose sums are Python's: floats one after the other, integers unbounded."""
    if raw.dtype.kind == "f":
        return raw.astype(object)
    highest = max(int(raw.max()), -int(raw.min())) if raw.size else 0
    return raw.astype("i8" if highest * len(raw) < _SAFE else object)


def activity(columns: Sequence[Cells], sums: Sums) -> NDArray[np.float64]:
    """Return how much the counters of each slot grew, together."""
    made: NDArray[Any] = np.zeros(len(sums.slots), "i8")
    for cells in columns:
        made = made + sums.array(cells)
    return made.astype("f8")
