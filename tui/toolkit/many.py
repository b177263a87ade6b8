"""All rows of a hook at once: which hooks have columns, which rows are unusual, plain lists."""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

from probes.analysis.anomaly import Verdict
from probes.analysis.history import Figure
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import np
from probes.model import Value
from tui.session.view import View
from tui.table.many_records import Lexicon

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS = (int, float)


def many_of(view: View, hook: str) -> ManyRows | None:
    """Return a hook's rows if they are columns; None if they are few, or of several targets."""
    found = view.of(hook)
    rows = found[0].rows if len(found) == 1 else None
    return rows if isinstance(rows, ManyRows) else None


def verdicts(view: View, figure: Figure, rows: ManyRows) -> Mapping[int, Verdict]:
    """Return the verdicts on those rows that are unusual, by their places."""
    if not view.past:
        places = rows.places(view.history.unusual(figure))
        return {place: view.verdict(figure, rows.table.key(place)) for place in places}
    found = {place: view.verdict(figure, key) for place, key in enumerate(rows.keys)}
    return {place: verdict for place, verdict in found.items() if verdict.since is not None}


def near(view: View, *figures: Figure) -> Container[Hashable]:
    """Return keys among which are those of all rows that are unusual."""
    if view.past:
        return _Every()
    return frozenset().union(*[view.history.unusual(figure) for figure in figures])


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
