"""The texts that the rows of a hook share from one reading to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells, NumberCells
from probes.columns.vocabulary import Vocabulary, Words, naturals
from probes.model import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Ranked = Words | NDArray[np.generic]

_LONGEST = 10**12
"""Numbers below it are sorted as their texts are by `natural`."""


class Part(NamedTuple):
    """A part of a record's name: the text of a column's value.

    Names are in order where their parts are, so each but the last ends with what tells it apart.
    """

    column: str
    text: Callable[[Value], str] = str


class Lexicon:
    """The texts that a pane's records have in common from one reading to the next."""

    def __init__(self, *name: Part) -> None:
        self.name = name
        self._columns: dict[str, Vocabulary] = {}
        self._read: list[_Ranked] = []
        self._order: NDArray[np.intp] | None = None

    @cached_property
    def _parts(self) -> Sequence[Vocabulary]:
        """The parts of names: made for the first names, as a few rows do without arrays."""
        return [Vocabulary(part.text) for part in self.name]

    def column(self, name: str, cells: Cells) -> Words:
        """Return a column's texts, as `str` makes them."""
        if name not in self._columns:
            self._columns[name] = Vocabulary()
        return self._columns[name].read(cells)

    def values(self, name: str, cells: Cells, places: NDArray[np.intp]) -> list[Value]:
        """Return a column's values at these places; texts as they were made before."""
        if not isinstance(cells, CodedCells):
            return cells.at(places).values()
        words = self.column(name, cells)
        found: list[Value] = words.texts[words.places[places]].tolist()
        if cells.known is not None:
            for n in np.flatnonzero(~cells.known[places]).tolist():
                found[n] = None
        return found

    def names(self, columns: Sequence[Cells]) -> list[str]:
        """Return the name of each row, given the columns of its parts."""
        texts = [words.texts[words.places].tolist() for words in self._words(columns)]
        return list(map("".join, zip(*texts, strict=True)))

    def order(self, columns: Sequence[Cells]) -> NDArray[np.intp]:
        """Return the places of all rows by name, those with the same name as they are."""
        triples = zip(self.name, self._parts, columns, strict=True)
        read = [
            cells.raw if _in_order(part, cells) else vocabulary.read(cells)
            for part, vocabulary, cells in triples
        ]
        if self._order is None or not all(map(_same, read, self._read)):
            self._read, self._order = read, self._ordered(read, columns)
        return self._order

    def _words(self, columns: Sequence[Cells]) -> list[Words]:
        pairs = zip(self._parts, columns, strict=True)
        return [vocabulary.read(cells) for vocabulary, cells in pairs]

    def _ordered(self, read: Sequence[_Ranked], columns: Sequence[Cells]) -> NDArray[np.intp]:
        if any(isinstance(one, Words) and _ambiguous(one) for one in read[:-1]):
            return _argsorted(naturals(self.names(columns)))
        keys = [one.order if isinstance(one, Words) else one for one in reversed(read)]
        return np.lexsort(keys)


def _in_order(part: Part, cells: Cells) -> bool:
    """Return whether the texts of numbers are in the order of the numbers."""
    if part.text is not str or not isinstance(cells, NumberCells) or cells.known is not None:
        return False
    raw = cells.raw
    return raw.dtype.kind in "iu" and bool(raw.min() >= 0 and raw.max() < _LONGEST)


def _same(now: _Ranked, before: _Ranked) -> bool:
    if isinstance(now, Words) or isinstance(before, Words):
        return now is before
    return np.array_equal(now, before)


def _ambiguous(words: Words) -> bool:
    """Return whether one text begins with another, so that what follows decides."""
    keys = words.naturals[words.used].tolist()
    begins = [then.startswith(one) and then != one for one, then in pairwise(keys)]
    return True in begins


def _argsorted(texts: list[str]) -> NDArray[np.intp]:
    return np.array(sorted(range(len(texts)), key=texts.__getitem__), np.intp)
