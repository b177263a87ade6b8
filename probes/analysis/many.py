"""Helpers for many rows of a hook at once: whether it has columns, unusual rows, plain lists."""

from __future__ import annotations

from collections.abc import Collection, Container, Hashable, Mapping, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING

from probes.analysis.anomaly import ManyVerdicts
from probes.analysis.facts import Facts
from probes.analysis.history import Figure
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.columns.cells import Cells, NumberCells
from probes.columns.lexicon import Lexicon
from probes.model import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS = (int, float)


def many_of(facts: Facts, hook: str) -> ManyRows | None:
    """Return a hook's rows if they are columns; None if they are few, or of several targets."""
    found = facts.of(hook)
    rows = found[0].rows if len(found) == 1 else None
    return rows if isinstance(rows, ManyRows) else None


def rows_of(facts: Facts, hook: str) -> Sequence[SnapshotRow]:
    """Return a hook's rows, without making any that are columns of one target."""
    found = facts.of(hook)
    return found[0].rows if len(found) == 1 else facts.rows(hook)


def verdicts(facts: Facts, figure: Figure, hook: str) -> ManyVerdicts:
    """Return the verdict on each row of a hook of which `many_of` returns rows."""
    return facts.verdicts(figure, facts.of(hook)[0])


def either(first: NDArray[np.bool_], some: ManyVerdicts, others: ManyVerdicts) -> ManyVerdicts:
    """Return the first ones where there is a flag, and the others elsewhere."""
    return ManyVerdicts(*[np.where(first, a, b) for a, b in zip(some, others, strict=True)])


def near(facts: Facts, *figures: Figure) -> Container[Hashable]:
    """Return keys among which are those of all rows that are unusual."""
    if facts.past:
        return _Every()
    return frozenset().union(*[facts.history.unusual(figure) for figure in figures])


class _Every:
    def __contains__(self, _: object) -> bool:
        return True


def numbers_in(rows: Sequence[SnapshotRow], column: str) -> list[float]:
    """Return what `SnapshotRow.number` says of a stored column, of each row."""
    values = [row.stored.get(column) for row in rows]
    return [value if isinstance(value, _NUMBERS) else 0 for value in values]


def rates_in(rows: Sequence[SnapshotRow], counter: str) -> list[float]:
    """Return what `SnapshotRow.rate` says, of each row."""
    return [row.rates.get(counter) or 0 for row in rows]


def grouped(
    rows: ManyRows, lexicon: Lexicon, *columns: str
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return of each row the number of its values in these columns, in order of appearance.

    Then the first row with each number.
    """
    number, begin = np.zeros(len(rows), np.intp), np.zeros(1, np.intp)
    for column in columns:
        words = lexicon.column(column, rows.cells(column))
        both = number * (len(words.texts) + 1) + words.places
        _, begin, number = np.unique(both, return_index=True, return_inverse=True)
        number = number.reshape(-1)
    order = np.argsort(begin)
    appeared = np.empty(len(order), np.intp)
    appeared[order] = np.arange(len(order))
    return appeared[number], begin[order]


def places_with(
    rows: Sequence[SnapshotRow], lexicon: Lexicon, wanted: Mapping[str, Collection[Value]]
) -> list[int]:
    """Return the places of rows that have one of these values in each of these columns."""
    if not isinstance(rows, ManyRows):
        asked = list(wanted.items())
        return [n for n, row in enumerate(rows) if all(row[c] in values for c, values in asked)]
    found = np.ones(len(rows), bool)
    for column, values in wanted.items():
        found &= _has(rows.cells(column), column, lexicon, values)
    places: list[int] = np.flatnonzero(found).tolist()
    return places


def _has(
    cells: Cells, column: str, lexicon: Lexicon, values: Collection[Value]
) -> NDArray[np.bool_]:
    found = np.zeros(len(cells), bool)
    if isinstance(cells, NumberCells):
        for value in values:
            if isinstance(value, int | float):
                found |= cells.raw == value
        found &= cells.flags()
    else:
        words = lexicon.column(column, cells)
        known = np.array([text in values for text in words.texts.tolist()], bool)
        found = known[words.places] & cells.flags()
    return found | ~cells.flags() if None in values else found


class SomeRows:
    """Some rows of a hook, a column at a time. places: which of them.

    lexicon: keeps the texts of many from one reading to the next.
    """

    def __init__(
        self, rows: Sequence[SnapshotRow], places: Sequence[int], lexicon: Lexicon
    ) -> None:
        self._rows, self._places, self._lexicon = rows, places, lexicon

    def __len__(self) -> int:
        return len(self._places)

    def row(self, n: int) -> SnapshotRow:
        """Return the n-th of them."""
        return self._rows[self._places[n]]

    @classmethod
    def of(cls, rows: Sequence[SnapshotRow], lexicon: Lexicon) -> SomeRows:
        """Return all rows."""
        return cls(rows, range(len(rows)), lexicon)

    def first(self, most: int, *by: Sequence[float]) -> list[SnapshotRow]:
        """Return the rows that have the greatest numbers; of equal ones those that come first."""
        return [self._rows[place] for place in self.busiest(most, *by)]

    def busiest(self, most: int, *by: Sequence[float]) -> list[int]:
        """Return the places of these."""
        keys = list(zip(*by, strict=True))
        found = nlargest(most, range(len(keys)), key=keys.__getitem__)
        return [self._places[n] for n in found]

    def rates(self, counter: str) -> list[float]:
        """Return what `SnapshotRow.rate` says, of each."""
        rows = self._rows
        if isinstance(rows, ManyRows):
            found: list[float] = rows.per_s(counter)[np.array(self._places, np.intp)].tolist()
            return found
        return [rows[place].rates.get(counter) or 0 for place in self._places]

    def numbers(self, column: str) -> list[float]:
        """Return what `SnapshotRow.number` says, of each."""
        rows = self._rows
        if isinstance(rows, ManyRows):
            found: list[float] = rows.numbers(column)[np.array(self._places, np.intp)].tolist()
            return found
        return [rows[place].number(column) for place in self._places]

    def values(self, column: str) -> list[Value]:
        """Return a stored column's values."""
        rows = self._rows
        if isinstance(rows, ManyRows):
            cells = rows.cells(column)
            return self._lexicon.values(column, cells, np.array(self._places, np.intp))
        return [rows[place][column] for place in self._places]
