"""All connection attempts of a host as arrays, one column at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from probes.analysis.facts import Facts
from probes.analysis.many import grouped
from probes.analysis.many_rows import ManyRows
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow, added_to
from probes.arrays import np
from probes.columns.cells import CodedCells, NumberCells, TupleCells
from probes.columns.lexicon import Lexicon
from probes.columns.vocabulary import Words
from probes.model import Key, Row, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Places = NDArray[np.intp]

_LEXICON = Lexicon()

LATELY = 4
"""Readings in which nothing went wrong that end a claim: what comes in bursts goes on."""


class Attempts:
    """The rows of tcp-connect at a moment, of which there are rates.

    seconds: how far back `recent` looks: as far as means do, or to the beginning of the watch.
    """

    def __init__(self, facts: Facts, snapshot: Snapshot) -> None:
        self.snapshot, self.rows = snapshot, snapshot.rows
        self._many = self.rows if isinstance(self.rows, ManyRows) else None
        sample, window = snapshot.sample, snapshot.window
        begun = window or facts.since.get(snapshot.id) or sample
        self.seconds = max(sample.time - begun.time, snapshot.interval or 1.0)
        self._asked: dict[tuple[str, str], Numbers] = {}
        self._words: dict[str, Words] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, place: int) -> SnapshotRow:
        return self.rows[place]

    def key(self, place: int) -> Key:
        """Return a row's key, without making the row."""
        return self.rows[place].key if self._many is None else self._many.table.key(place)

    def per_s(self, column: str) -> Numbers:
        """Return a counter's rates; unknown ones count as 0."""
        return self._once("per_s", column)

    def number(self, column: str) -> Numbers:
        """Return a column's numbers; unknown ones count as 0."""
        return self._once("number", column)

    def recent(self, column: str) -> Numbers:
        """Return what was added to a counter in the last `seconds`."""
        return self._once("recent", column)

    def _once(self, kind: str, column: str) -> Numbers:
        if (kind, column) not in self._asked:
            made = {"per_s": self._per_s, "number": self._number, "recent": self._recent}
            self._asked[kind, column] = made[kind](column)
        return self._asked[kind, column]

    def _per_s(self, column: str) -> Numbers:
        if self._many is not None:
            return self._many.per_s(column)
        return np.array([row.rates.get(column) or 0 for row in self.rows], "f8")

    def _number(self, column: str) -> Numbers:
        if self._many is not None:
            return self._many.numbers(column)
        return np.array([row.number(column) for row in self.rows], "f8")

    def _recent(self, column: str) -> Numbers:
        if self._many is not None:
            cells = self._many.added(column)
            if isinstance(cells, NumberCells):
                return np.where(cells.flags(), cells.raw, 0).astype("f8")
            return self._many.per_s(column) * self.seconds
        return np.array(self.added(column), "f8")

    def added(self, column: str) -> list[float]:
        """Return the same of a few rows, without arrays."""
        return [_known(added_to(row.stored.get(column), then)) for row, then in self._then(column)]

    def _then(self, column: str) -> Iterable[tuple[SnapshotRow, Value]]:
        """Return each of a few rows, and what it had in a column when the window began."""
        window, names = self.snapshot.window, self.snapshot.hook.places.names
        before: Mapping[Key, Row] = {} if window is None else window.rows
        at = names.index(column)
        for row in self.rows:
            was = before.get(row.key)
            yield row, was[at] if was is not None else None

    def buckets(self, place: int) -> Sequence[int]:
        """Return what was added to the histogram of a row's times in the last `seconds`."""
        if self._many is not None:
            cells = self._many.added("latency")
            if isinstance(cells, TupleCells):
                listed: list[int] = cells.raw[place].tolist()
                return listed
            return ()
        row = self.rows[place]
        window, names = self.snapshot.window, self.snapshot.hook.places.names
        was = None if window is None else window.rows.get(row.key)
        then = None if was is None else was[names.index("latency")]
        added = added_to(row.stored.get("latency"), then)
        return added if isinstance(added, tuple) else ()

    def values(self, column: str, places: Iterable[int]) -> list[Value]:
        """Return a column's values at some places."""
        if self._many is not None:
            return self._texts(column, np.array(list(places), np.intp))
        return [self.rows[place].stored[column] for place in places]

    def _texts(self, column: str, where: Places) -> list[Value]:
        """Return the same of many rows, whose texts are read once."""
        assert self._many is not None
        cells = self._many.cells(column)
        if not isinstance(cells, CodedCells):
            return cells.at(where).values()
        if column not in self._words:
            self._words[column] = _LEXICON.column(column, cells)
        words = self._words[column]
        found: list[Value] = words.texts[words.places[where]].tolist()
        known = cells.flags()[where].tolist()
        return [value if there else None for value, there in zip(found, known, strict=True)]

    def groups(self, *columns: str) -> Places:
        """Return of each row the number of its values in these columns."""
        if self._many is not None:
            return grouped(self._many, _LEXICON, *columns)[0]
        known: dict[tuple[Value, ...], int] = {}
        found = [
            known.setdefault(tuple([row.stored[column] for column in columns]), len(known))
            for row in self.rows
        ]
        return np.array(found, np.intp)

    @cached_property
    def by_place(self) -> Places:
        """The number of each row's destination."""
        return self.groups("raddr", "rport")


def _known(value: Value) -> float:
    return value if isinstance(value, int | float) else 0
