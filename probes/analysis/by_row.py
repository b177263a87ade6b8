"""Figures that have a number for each row of a hook, by the row's key: as columns if rows are many.

ByRow("retransmits", rate=True)      # what Figure.values may be
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from probes.analysis.known_rows import Keys
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.arrays import FEW, np
from probes.columns.cells import Reals
from probes.columns.row_table import RowTable
from probes.model import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


Numbers = Union[list[float], "NDArray[np.float64]"]
"""A number of each row, in their order; an array of many."""
_NUMBERS = {int, float}


@dataclass(frozen=True, slots=True)
class ByRow:
    """A column's number in each row. rate: a counter's, per second. zero: 0 is a number as well."""

    column: str
    rate: bool = False
    zero: bool = True

    def __call__(self, snapshots: Iterable[Snapshot]) -> Mapping[Hashable, float | None]:
        found: dict[Hashable, float | None] = {}
        for snapshot in snapshots:
            numbers = self.numbers((snapshot,))
            listed = numbers if isinstance(numbers, list) else numbers.tolist()
            values = [None if number != number else number for number in listed]
            found.update(zip(snapshot.keys, values, strict=True))
        return found

    def numbers(self, snapshots: Sequence[Snapshot]) -> Numbers:
        """Return the numbers of the rows that `keys_of` tells; not a number: unknown."""
        if len(snapshots) != 1:
            return plain(self(snapshots).values())
        rows = snapshots[0].rows
        if type(rows) is not ManyRows:
            return self._few(snapshots[0])
        reals = self._reals(rows)
        if reals is None:
            return self._few(snapshots[0])
        known = reals.known if self.zero else reals.known & (reals.values != 0)
        return np.where(known, reals.values, math.nan)

    def _few(self, snapshot: Snapshot) -> list[float]:
        if self.rate:
            values: Iterable[Value] = snapshot.per_s(self.column)
        elif self.column in snapshot.hook.places.names:
            values = snapshot.values(self.column)
        else:
            values = [row[self.column] for row in snapshot.rows]
        numbers = plain(values if self.zero else [value or None for value in values])
        return numbers if self.rate or set(map(type, numbers)) <= _NUMBERS else _numbers(numbers)

    def _reals(self, rows: ManyRows) -> Reals | None:
        return rows.rates(self.column) if self.rate else rows.reals(self.column)


@dataclass(frozen=True, slots=True)
class SumBy:
    """A counter's rate in all rows together that have the same values in some columns."""

    columns: tuple[str, ...]
    counter: str

    def __call__(self, snapshots: Iterable[Snapshot]) -> Mapping[Hashable, float | None]:
        sums: dict[Hashable, float | None] = {}
        for snapshot in snapshots:
            places = zip(*[snapshot.values(column) for column in self.columns], strict=True)
            for place, rate in zip(places, snapshot.per_s(self.counter), strict=True):
                if rate is not None:
                    sums[place] = (sums.get(place) or 0) + rate
                else:
                    sums.setdefault(place, None)
        return sums

    def summed(self, snapshots: Sequence[Snapshot]) -> tuple[Keys, Numbers]:
        """Return the keys, and their sums; not a number: unknown."""
        rows = snapshots[0].rows if len(snapshots) == 1 else None
        found = self._many(rows) if type(rows) is ManyRows else None
        if found is None:
            sums = self(snapshots)
            return list(sums), plain(sums.values())
        return found

    def _many(self, rows: ManyRows) -> tuple[Keys, Numbers] | None:
        cells = [rows.cells(column) for column in self.columns]
        found = RowTable(cells, tuple(range(len(cells)))).distinct()
        if found is None:
            return None
        keys, place = found
        rates = rows.rates(self.counter)
        sums = np.bincount(place[rates.known], rates.values[rates.known], len(keys))
        known = np.bincount(place, rates.known, len(keys)) > 0
        return keys, np.where(known, sums, math.nan)


def keys_of(snapshots: Sequence[Snapshot]) -> Keys:
    """Return the keys of all rows."""
    if len(snapshots) != 1:
        return list(dict.fromkeys(key for snapshot in snapshots for key in snapshot.keys))
    rows = snapshots[0].rows
    return rows.table if type(rows) is ManyRows else snapshots[0].keys


def plain(values: Iterable[Value]) -> list[float]:
    """Return values of which those that are None are not a number."""
    nan = math.nan
    return [nan if value is None else value for value in values]  # type: ignore[misc]


def _numbers(values: Iterable[object]) -> list[float]:
    return [value if isinstance(value, int | float) else math.nan for value in values]


def in_array(numbers: Numbers) -> Numbers:
    """Return numbers as an array if they are many, as a list if they are few."""
    if isinstance(numbers, list):
        return np.array(numbers, "f8") if len(numbers) > FEW else numbers
    if len(numbers) > FEW:
        return numbers
    few: list[float] = numbers.tolist()
    return few
