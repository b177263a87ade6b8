"""The rows of a snapshot as columns, whichever way it has them: what `ManyRecords` are made of."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property

from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, Reals, cells_of
from probes.model import Hook
from tui.table.fields import rate_of


def cells_of_reals(reals: Reals) -> NumberCells:
    return NumberCells(reals.values, reals.known)


class SnapshotRows:
    """Rows of a hook. Columns have the names that records have: a rate is NAME_per_s."""

    def __init__(self, hook: Hook, rows: Sequence[SnapshotRow]) -> None:
        self.rows = rows
        self._hook = hook
        self._rates = {rate_of(name): name for _, name in hook.places.counters}
        self._columns: dict[str, Cells | None] = {}

    @classmethod
    def of(cls, snapshot: Snapshot) -> SnapshotRows:
        return cls(snapshot.hook, snapshot.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, place: int) -> Hashable:
        """Return the key of a row."""
        rows = self.rows
        return rows.table.key(place) if isinstance(rows, ManyRows) else rows[place].key

    def place(self, key: object) -> int | None:
        """Return the place of a row; None if it is not there."""
        rows = self.rows
        return rows.place(key) if isinstance(rows, ManyRows) else self._places.get(key)

    @cached_property
    def _places(self) -> dict[object, int]:
        return {row.key: place for place, row in enumerate(self.rows)}

    def column(self, name: str) -> Cells | None:
        """Return a column; None if the hook has none of that name."""
        if name not in self._columns:
            self._columns[name] = self._column(name)
        return self._columns[name]

    def _column(self, name: str) -> Cells | None:
        rows, places = self.rows, self._hook.places
        if name in self._rates:
            counter = self._rates[name]
            if isinstance(rows, ManyRows):
                return cells_of_reals(rows.rates(counter))
            return cells_of([row.rates[counter] for row in rows])
        if name in places.names:
            if isinstance(rows, ManyRows):
                return rows.cells(name)
            return cells_of([row.stored[name] for row in rows])
        if all(name != derived for derived, _ in places.derived):
            return None
        reals = rows.derived(name) if isinstance(rows, ManyRows) else None
        if reals is not None:
            return cells_of_reals(reals)
        return cells_of([row.values[name] for row in rows])


class ChosenRows:
    """Some of those rows, in an order. places: theirs."""

    def __init__(self, rows: SnapshotRows, places: Sequence[int]) -> None:
        self._all, self._places = rows, np.array(places, np.intp)

    def __len__(self) -> int:
        return len(self._places)

    def key(self, place: int) -> Hashable:
        """Return the key of a row."""
        return self._all.key(int(self._places[place]))

    def place(self, key: object) -> int | None:
        """Return the place of a row among these; None if it is not there."""
        there = self._all.place(key)
        found = () if there is None else np.flatnonzero(self._places == there).tolist()
        return next(iter(found), None)

    def column(self, name: str) -> Cells | None:
        """Return a column; None if the hook has none of that name."""
        cells = self._all.column(name)
        return None if cells is None else cells.at(self._places)
