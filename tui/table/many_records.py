"""Records of many rows as columns, each made only where it is shown or asked for.

A pane with many rows returns `ManyRecords` instead of a list. Sorting and filtering take its
columns; what it has of a row, as a Python value, it makes of that row alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol, overload

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells, NumberCells, ObjectCells, TupleCells
from probes.model import Value
from probes.units import DASH, printable
from tui.table.fields import Field, TableRow
from tui.table.number_texts import number_texts
from tui.table.vocabulary import Vocabulary, Words, naturals

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARKS = ("", "warn", "bad")
"""A record's marks; of many they are kept as places in this."""
Finds = Callable[[list[str]], list[bool]]
"""Tells of texts in lower case which are wanted."""


class Rows(Protocol):
    """What records are made of. `column` returns None for a column that there is not."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Cells | None: ...

    def key(self, place: int) -> Hashable: ...

    def place(self, key: object) -> int | None: ...


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
        self._parts = [Vocabulary(part.text) for part in name]
        self._columns: dict[str, Vocabulary] = {}
        self._read: list[Words] = []
        self._order: NDArray[np.intp] | None = None

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
        read = self._words(columns)
        if self._order is None or len(read) != len(self._read) or not _same(read, self._read):
            self._read, self._order = read, self._ordered(read, columns)
        return self._order

    def _words(self, columns: Sequence[Cells]) -> list[Words]:
        pairs = zip(self._parts, columns, strict=True)
        return [vocabulary.read(cells) for vocabulary, cells in pairs]

    def _ordered(self, read: Sequence[Words], columns: Sequence[Cells]) -> NDArray[np.intp]:
        if any(_ambiguous(words) for words in read[:-1]):
            return _argsorted(naturals(self.names(columns)))
        return np.lexsort([words.order for words in reversed(read)])


def _same(read: Sequence[Words], before: Sequence[Words]) -> bool:
    return all(now is was for now, was in zip(read, before, strict=True))


def _ambiguous(words: Words) -> bool:
    """Return whether one text begins with another, so that what follows decides."""
    keys = words.naturals[words.used].tolist()
    begins = [then.startswith(one) and then != one for one, then in pairwise(keys)]
    return True in begins


def _argsorted(texts: list[str]) -> NDArray[np.intp]:
    return np.array(sorted(range(len(texts)), key=texts.__getitem__), np.intp)


class ManyRecords(Sequence[TableRow]):
    """Records of many rows.

    lexicon: the pane's. make: the record at a place. own: columns that the pane adds, by name.
    marks: of each record, as places in `MARKS`. odd: the places of records of which a field that
    writes its own text says something else than of all others.
    """

    def __init__(
        self,
        rows: Rows,
        lexicon: Lexicon,
        make: Callable[[int], TableRow],
        *,
        own: dict[str, Cells] | None = None,
        marks: NDArray[np.uint8] | None = None,
        odd: NDArray[np.intp] | None = None,
    ) -> None:
        self.marks = np.zeros(len(rows), "u1") if marks is None else marks
        self._rows, self._lexicon, self._make = rows, lexicon, make
        self._own = own or {}
        self._odd = np.empty(0, np.intp) if odd is None else odd
        self._made: dict[int, TableRow] = {}
        self._names: list[str] | None = None
        self._order: NDArray[np.intp] | None = None
        self._plain = self._first_plain()

    def _first_plain(self) -> int | None:
        """Return the place of a record that says what all but the odd ones say; None: all are."""
        plain = np.ones(len(self), bool)
        plain[self._odd] = False
        return int(plain.argmax()) if plain.any() else None

    # -- one by one ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> TableRow: ...
    @overload
    def __getitem__(self, place: slice) -> list[TableRow]: ...
    def __getitem__(self, place: int | slice) -> TableRow | list[TableRow]:
        if isinstance(place, slice):
            return [self[n] for n in range(len(self))[place]]
        if place not in self._made:
            self._made[place] = self._make(range(len(self))[place])
        return self._made[place]

    def __iter__(self) -> Iterator[TableRow]:
        return map(self.__getitem__, range(len(self)))

    def key(self, place: int) -> Hashable:
        """Return the key of the record at a place."""
        return self._rows.key(place)

    def place(self, key: object) -> int | None:
        """Return the place of the record with that key; None if there is none."""
        return self._rows.place(key)

    # -- all at once ---------------------------------------------------------------------------

    def column(self, name: str) -> Cells | None:
        """Return a column; None if there is none of that name, so that no value is known."""
        return self._own[name] if name in self._own else self._rows.column(name)

    @property
    def names(self) -> list[str]:
        """The name of each record."""
        if self._names is None:
            self._names = self._lexicon.names(self._named())
        return self._names

    def _named(self) -> list[Cells]:
        columns = [self.column(part.column) for part in self._lexicon.name]
        return [cells for cells in columns if cells is not None]

    def sorted_by(
        self, field: Field, reverse: bool, kept: NDArray[np.bool_] | None
    ) -> NDArray[np.intp]:
        """Return the places of the records kept, sorted by a field, else by name, else as they are.

        kept: a flag for each; None: all are.
        """
        if self._order is None:
            self._order = self._lexicon.order(self._named())
        order = self._order if kept is None else self._order[kept[self._order]]
        cells = self.column(field.name)
        for keys in () if cells is None else self._keys(field, cells):
            order = order[_stably(keys[order], reverse)]
        return order

    def _keys(self, field: Field, cells: Cells) -> list[NDArray[np.generic]]:
        """Return what the field sorts by: the least important first; unknown values before all."""
        if _mixed(cells):
            return [_ranks([field.order(record) for record in self])]
        numbers, known = isinstance(cells, NumberCells), _known(cells)
        keys = cells.raw if numbers else self._lexicon.column(field.name, cells).order
        if known is None:
            return [keys]
        return [np.where(known, keys, np.zeros(1, keys.dtype)), known]

    def has_numbers(self, field: Field) -> bool:
        """Return whether the field's texts are those of numbers, and dashes."""
        cells = self.column(field.name)
        return field.write is None and (cells is None or isinstance(cells, NumberCells))

    def known(self, field: Field) -> NDArray[np.bool_]:
        """Return of which records the field has a value."""
        cells = self.column(field.name)
        known = np.zeros(len(self), bool) if cells is None else _known(cells)
        return np.ones(len(self), bool) if known is None else known

    # -- filters -------------------------------------------------------------------------------

    def finds_name(self, finds: Finds) -> NDArray[np.bool_]:
        """Return whose name is wanted."""
        lower = "\n".join(self.names).lower().split("\n")
        same = len(lower) == len(self)
        return _flags(finds(lower if same else [name.lower() for name in self.names]))

    def finds(self, field: Field, finds: Finds) -> NDArray[np.bool_]:
        """Return of which records the field's text is wanted."""
        if field.write is not None:
            return self._finds_written(field, finds)
        cells = self.column(field.name)
        if cells is None:
            return np.full(len(self), finds([DASH])[0])
        if _mixed(cells):
            return _flags(finds([field.text(record, False).lower() for record in self]))
        if isinstance(cells, NumberCells):
            texts, places = number_texts(cells.raw, field.unit)
        else:
            words = self._lexicon.column(field.name, cells)
            texts, places = _shown(words.texts.tolist()), words.places
        found, known = _flags(finds([text.lower() for text in texts]))[places], _known(cells)
        return found if known is None else np.where(known, found, finds([DASH])[0])

    def _finds_written(self, field: Field, finds: Finds) -> NDArray[np.bool_]:
        found = np.zeros(len(self), bool)
        if self._plain is not None:
            found[:] = finds([field.text(self[self._plain], False).lower()])[0]
        odd = self._odd.tolist()
        found[self._odd] = finds([field.text(self[n], False).lower() for n in odd])
        return found


def _known(cells: Cells) -> NDArray[np.bool_] | None:
    """Return which values are not None; None: all."""
    if not isinstance(cells, ObjectCells):
        return cells.known
    return np.array([value is not None for value in cells.values()], bool)


def _mixed(cells: Cells) -> bool:
    """Return whether there are other values than texts, numbers alone, or none."""
    if isinstance(cells, TupleCells):
        return True
    types = set(map(type, cells.raw.tolist())) if isinstance(cells, ObjectCells) else set()
    return not types <= {str, type(None)}


def _shown(texts: list[str]) -> list[str]:
    return [text if text.isprintable() else printable(text) for text in texts]


def _flags(found: list[bool]) -> NDArray[np.bool_]:
    return np.array(found, bool)


def _ranks(keys: list[tuple[int, float, str]]) -> NDArray[np.generic]:
    known = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return np.array([known[key] for key in keys], np.intp)


def _stably(keys: NDArray[np.generic], reverse: bool) -> NDArray[np.intp]:
    """Return the order of keys; equal ones stay as they are, also if the greatest is first."""
    if not reverse:
        return np.argsort(keys, kind="stable")
    return (len(keys) - 1 - np.argsort(keys[::-1], kind="stable"))[::-1]


class Ordered(Sequence[TableRow]):
    """Some of the records, in an order. places: theirs in `records`."""

    def __init__(self, records: ManyRecords, places: NDArray[np.intp]) -> None:
        self.records, self.places = records, places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, place: int) -> TableRow: ...
    @overload
    def __getitem__(self, place: slice) -> list[TableRow]: ...
    def __getitem__(self, place: int | slice) -> TableRow | list[TableRow]:
        if isinstance(place, slice):
            return [self.records[n] for n in self.places[place].tolist()]
        return self.records[int(self.places[place])]

    def index_of(self, key: object) -> int | None:
        """Return where the record with that key is; None if it is not among them."""
        place = self.records.place(key)
        if place is None:
            return None
        found = np.flatnonzero(self.places == place)
        return int(found[0]) if len(found) else None

    def worst(self) -> int:
        """Return the first of those with the gravest mark."""
        return int(self.records.marks[self.places].argmax())


def with_key(records: Sequence[TableRow], key: object) -> TableRow | None:
    """Return the record with that key."""
    if isinstance(records, ManyRecords):
        place = records.place(key)
        return None if place is None else records[place]
    return next((record for record in records if record.key == key), None)
