"""Many destinations as columns: what has failed, and what is under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.columns.row_table import ColumnRows
from probes.model import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_SUM = 1 << 60
"""From here on, the sum of several counters may need more than 63 bits."""


def completed(
    made: ColumnRows,
    names: Sequence[str],
    failures: Sequence[str],
    waiting: Mapping[tuple[Value, ...], int],
) -> ColumnRows | None:
    """Return the rows that have any number, with `failed` and `pending`; None: numbers are too odd.

    failures: the columns that `failed` sums up. waiting: attempts under way, by the row's key.
    """
    cells = dict(zip(names, made.cells, strict=True))
    wanted = {name: _numbers(cells[name]) for name in (*failures, "connects", "established")}
    numbers = {name: array for name, array in wanted.items() if array is not None}
    if len(numbers) < len(wanted):
        return None
    failed = np.zeros(len(made), "i8")
    for name in failures:
        failed += numbers[name]
    pending = _pending(made, waiting)
    cells["failed"], cells["pending"] = NumberCells(failed), NumberCells(pending)
    any = (numbers["connects"] != 0) | (numbers["established"] != 0) | (failed != 0)
    return ColumnRows([c.at(any | (pending != 0)) for c in cells.values()])


def _numbers(cells: object) -> NDArray[np.int64] | None:
    """Return counters, 0 where one is not known; None if they are none, or very large."""
    if not isinstance(cells, NumberCells) or cells.raw.dtype.kind not in "iu":
        return None
    if len(cells) and (int(cells.raw.max()) >= _MAX_SUM or int(cells.raw.min()) <= -_MAX_SUM):
        return None
    found = cells.raw.astype("i8")
    return found if cells.known is None else np.where(cells.known, found, 0)


def _pending(made: ColumnRows, waiting: Mapping[tuple[Value, ...], int]) -> NDArray[np.int64]:
    pending = np.zeros(len(made), "i8")
    if waiting:
        keys = made.cells[: len(next(iter(waiting)))]
        pids = keys[0].raw if isinstance(keys[0], NumberCells) else None
        callers = np.array([pid for pid, *_ in waiting if isinstance(pid, int)], "i8")
        near = range(len(made)) if pids is None else np.flatnonzero(np.isin(pids, callers)).tolist()
        for place in near:
            pending[place] = waiting.get(tuple([cells.value(place) for cells in keys]), 0)
    return pending
