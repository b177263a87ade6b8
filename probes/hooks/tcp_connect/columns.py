"""Many destinations as columns: what has failed, and what is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from probes.arrays import np
from probes.columns.cells import NumberCells, cells_of, joined
from probes.columns.row_table import ColumnRows
from probes.hooks.tcp_connect.waiting import Waiting, Who
from probes.model import Column, Kind, Row, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BUCKETS = 40
"""Of the histogram of times, as in C."""
_MAX_SUM = 1 << 60
"""From here on, the sum of several counters may need more than 63 bits."""


def completed(
    made: ColumnRows, columns: Sequence[Column], failures: Sequence[str], waiting: Waiting
) -> ColumnRows | None:
    """Return the rows that have any number, with `failed` and what is under way.

    None: the numbers are too odd. columns: of the rows. failures: those that `failed` sums up.
    """
    place_of = _places(made, waiting)
    missing = [who for who in waiting if who not in place_of]
    if missing:
        place_of.update({who: len(made) + n for n, who in enumerate(missing)})
        made = _followed(made, list(map(empty_row(columns), missing)))
    cells = dict(zip([column.name for column in columns], made.cells, strict=True))
    wanted = {name: _numbers(cells[name]) for name in (*failures, "connects", "established")}
    numbers = {name: array for name, array in wanted.items() if array is not None}
    if len(numbers) < len(wanted):
        return None
    failed = np.zeros(len(made), "i8")
    for name in failures:
        failed += numbers[name]
    pending, late, oldest = (np.zeros(len(made), "i8") for _ in range(3))
    for who, place in place_of.items():
        pending[place], late[place], oldest[place] = waiting[who]
    cells["failed"], cells["pending"], cells["late"] = map(NumberCells, (failed, pending, late))
    cells["oldest_ns"] = NumberCells(oldest, pending != 0)
    any = (numbers["connects"] != 0) | (numbers["established"] != 0) | (failed != 0)
    return ColumnRows([c.at(any | (pending != 0)) for c in cells.values()])


def empty_row(columns: Sequence[Column]) -> Callable[[Who], Row]:
    """Return a function that makes the row of attempts of which nothing is counted."""
    zero: dict[Kind, Value] = {Kind.COUNTER: 0}
    buckets = next((c.name for c in columns if c.kind is Kind.HISTOGRAM), "")
    rest = tuple([(0,) * _BUCKETS if c.name == buckets else zero.get(c.kind) for c in columns[4:]])
    return lambda who: (*who, *rest)


def _followed(made: ColumnRows, more: Sequence[Row]) -> ColumnRows:
    columns = zip(made.cells, zip(*more, strict=True), strict=True)
    return ColumnRows([joined(cells, cells_of(values)) for cells, values in columns])


def _numbers(cells: object) -> NDArray[np.int64] | None:
    """Return counters, 0 where one is not known; None if they are none, or very large."""
    if not isinstance(cells, NumberCells) or cells.raw.dtype.kind not in "iu":
        return None
    if len(cells) and (int(cells.raw.max()) >= _MAX_SUM or int(cells.raw.min()) <= -_MAX_SUM):
        return None
    found = cells.raw.astype("i8")
    return found if cells.known is None else np.where(cells.known, found, 0)


def _places(made: ColumnRows, waiting: Waiting) -> dict[Who, int]:
    """Return in which row the attempts under way are."""
    if not waiting:
        return {}
    keys = made.cells[: len(next(iter(waiting)))]
    pids = keys[0].raw if isinstance(keys[0], NumberCells) else None
    near: Sequence[int] = range(len(made))
    if pids is not None:
        callers = np.array([pid for pid, *_ in waiting if isinstance(pid, int)], "i8")
        wanted = np.isin(pids, callers) | ~keys[0].flags()
        near = np.flatnonzero(wanted).tolist()
    found = {tuple([cells.value(place) for cells in keys]): place for place in near}
    return {who: found[who] for who in waiting if who in found}
