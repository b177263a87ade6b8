"""Figures that have a number for each row of a hook, by the row's key: as columns if rows are many.

ByRow("retransmits", rate=True)      # what Figure.values may be
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.analysis.known_rows import Keys
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.arrays import FEW, np
from probes.columns.cells import Reals

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ByRow:
    """A column's number in each row. rate: a counter's, per second. zero: 0 is a number as well."""

    column: str
    rate: bool = False
    zero: bool = True

    def __call__(self, snapshots: Iterable[Snapshot]) -> Mapping[Hashable, float | None]:
        found: dict[Hashable, float | None] = {}
        for snapshot in snapshots:
            numbers = self._listed(snapshot)
            if not self.zero:
                numbers = [number or None for number in numbers]
            found.update(zip(snapshot.keys, numbers, strict=True))
        return found

    def _listed(self, snapshot: Snapshot) -> Sequence[float | None]:
        if self.rate:
            return snapshot.per_s(self.column)
        return list(snapshot.numbers(self.column).values())

    def numbers(self, snapshots: Sequence[Snapshot]) -> Sequence[float] | NDArray[np.float64]:
        """Return the numbers of the rows that `keys_of` tells; not a number: unknown."""
        rows = snapshots[0].rows if len(snapshots) == 1 else None
        reals = self._reals(rows) if isinstance(rows, ManyRows) else None
        if reals is not None:
            known = reals.known if self.zero else reals.known & (reals.values != 0)
            return np.where(known, reals.values, math.nan)
        if rows is None:
            return plain(list(self(snapshots).values()))
        numbers = plain(self._listed(snapshots[0]))
        return numbers if self.zero else [number or math.nan for number in numbers]

    def _reals(self, rows: ManyRows) -> Reals | None:
        return rows.rates(self.column) if self.rate else rows.reals(self.column)


def keys_of(snapshots: Sequence[Snapshot]) -> Keys:
    """Return the keys of all rows."""
    if len(snapshots) != 1:
        return list(dict.fromkeys(key for snapshot in snapshots for key in snapshot.keys))
    rows = snapshots[0].rows
    return rows.table if isinstance(rows, ManyRows) else snapshots[0].keys


def plain(numbers: Iterable[float | None]) -> Sequence[float]:
    """Return numbers of which those that are None are not a number."""
    return [math.nan if number is None else number for number in numbers]


def in_array(numbers: Sequence[float] | NDArray[np.float64]) -> Sequence[float] | NDArray[Any]:
    """Return numbers as an array if they are many."""
    if isinstance(numbers, Sequence):
        return np.array(numbers, "f8") if len(numbers) > FEW else numbers
    return numbers if len(numbers) > FEW else numbers.tolist()
