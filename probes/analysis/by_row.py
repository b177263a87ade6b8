"""Figures that have a number for each row of a hook, by the row's key: as columns if rows are many.

ByRow("retransmits", rate=True)      # what Figure.values may be
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.analysis.known_rows import Keys
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.arrays import FEW, np
from probes.columns.cells import Reals
from probes.model import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


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

    def numbers(self, snapshots: Sequence[Snapshot]) -> list[float] | NDArray[np.float64]:
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


def in_array(numbers: list[float] | NDArray[np.float64]) -> list[float] | NDArray[np.float64]:
    """Return numbers as an array if they are many, as a list if they are few."""
    if isinstance(numbers, list):
        return np.array(numbers, "f8") if len(numbers) > FEW else numbers
    if len(numbers) > FEW:
        return numbers
    few: list[float] = numbers.tolist()
    return few
