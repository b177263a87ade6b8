"""A reading for export, a column at a time: its values, and what was added since the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import sub

from probes.analysis.many_rows import added_since
from probes.arrays import np
from probes.columns.cells import Cells, cells_of, replaced
from probes.columns.row_table import RowTable
from probes.model import Key, Row, Value

Grown = int | float | tuple[int, ...] | None
"""A counter's sum, a histogram's, or None if it was never known."""


class Increments:
    """The rows of a sample. before, instead: what they are compared with, the latter first."""

    def __init__(
        self, rows: Mapping[Key, Row], before: Mapping[Key, Row], instead: Mapping[Key, Row]
    ) -> None:
        self.rows = rows
        self._before, self._instead = before, instead
        self._columns: dict[int, Sequence[Value]] = {}

    def column(self, place: int) -> Sequence[Value]:
        """Return a stored column's value in each row."""
        if place not in self._columns:
            self._columns[place] = (
                self.rows.cells[place].values()
                if isinstance(self.rows, RowTable)
                else [row[place] for row in self.rows.values()]
            )
        return self._columns[place]

    def value(self, place: int, row: int) -> Value:
        """Return a stored column's value in one row."""
        rows = self.rows
        return (
            rows.cells[place].value(row) if isinstance(rows, RowTable) else self.column(place)[row]
        )

    def row(self, place: int) -> Row:
        """Return one row of a table."""
        assert isinstance(self.rows, RowTable)
        return self.rows.row(place)

    def cells_added(self, place: int) -> Cells | None:
        """Return what was added to a table's column; None if no array holds it."""
        now, before = self.rows, self._before
        if not isinstance(now, RowTable):
            return None
        made: Cells | None = now.cells[place]
        if isinstance(before, RowTable):
            at = now.places_in(before)
            made = added_since(now.cells[place], before.cells[place], at)
        elif before:
            return None
        if made is None or not self._instead:
            return made
        at = np.array([now.place(key) for key in self._instead], np.intp)
        were = [row[place] for row in self._instead.values()]
        current = map(now.cells[place].value, at.tolist())
        return replaced(made, at, cells_of(list(map(_added, current, were))))

    def added(self, place: int) -> Sequence[Grown]:
        """Return what was added to a column in each row; all of it if the counter was reset."""
        made = self._added_to_table(place)
        if made is None:
            were = [None if row is None else row[place] for row in self._were]
            return list(map(_added, self.column(place), were))
        for key, row in self._instead.items():
            at = self._at(key)
            made[at] = _added(self.column(place)[at], row[place])
        return made

    def _added_to_table(self, place: int) -> list[Grown] | None:
        """Return the same for two tables, without `instead`; None if it is made row by row."""
        now, before = self.rows, self._before
        if not isinstance(now, RowTable) or not isinstance(before, RowTable):
            return None
        cells = added_since(now.cells[place], before.cells[place], now.places_in(before))
        made: list[Grown] | None = None if cells is None else cells.values()  # type: ignore[assignment]
        return made

    def _at(self, key: Key) -> int:
        assert isinstance(self.rows, RowTable)
        return self.rows.place(key)

    @cached_property
    def _were(self) -> Sequence[Row | None]:
        """What each row is compared with."""
        before, instead = self._before, self._instead
        known = {**before, **instead} if instead else before
        return [known.get(key) for key in self.rows]


def _added(now: Value, was: Value) -> Grown:
    if isinstance(now, tuple):
        if not isinstance(was, tuple):
            return now
        more = tuple(map(sub, now, was))
        return now if min(more, default=0) < 0 else more
    if not isinstance(now, int | float):
        return None
    return now - was if isinstance(was, int | float) and was <= now else now
