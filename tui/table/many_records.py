"""Records of many rows as columns, each made only where it is shown or asked for.

A pane with many rows returns `ManyRecords` instead of a list. Sorting and filtering take its
columns; what it has of a row, as a Python value, it makes of that row alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, overload

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, ObjectCells, TupleCells
from probes.columns.lexicon import Lexicon
from probes.columns.vocabulary import lowered
from probes.units import DASH, printable
from tui.table.fields import Field, TableRow
from tui.table.number_texts import number_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray


MARKS = ("", "warn", "bad")
"""A record's marks; of many they are kept as places in this."""
Finds = Callable[[list[str]], list[bool]]
"""Tells of texts in lower case which are wanted."""


class Rows(Protocol):
    """The rows that records are made of. `column` returns None for a column that there is not."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Cells | None: ...

    def key(self, place: int) -> Hashable: ...

    def place(self, key: object) -> int | None: ...


class ManyRecords(Sequence[TableRow]):
    """Records of many rows.

    lexicon: the pane's. make: the record at a place. own: columns that the pane adds, by name.
    marks: of each record, as places in `MARKS`. odd: the places of records of which a field that
    writes its own text says something else than of all others. written: what such a field says of
    the record at a place, without making the record.
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
        written: Mapping[str, Callable[[int], str]] | None = None,
    ) -> None:
        self.marks = np.zeros(len(rows), "u1") if marks is None else marks
        self._rows, self._lexicon, self._make = rows, lexicon, make
        self._own, self._written = own or {}, written or {}
        self._odd = np.empty(0, np.intp) if odd is None else odd
        self._made: dict[int, TableRow] = {}
        self._texts: dict[str, tuple[list[str], NDArray[np.intp]]] = {}
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

    @cached_property
    def names(self) -> list[str]:
        """The name of each record."""
        return self._lexicon.names(self._named())

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
        return _flags(finds(self._lower_names))

    def finds(self, field: Field, finds: Finds) -> NDArray[np.bool_]:
        """Return of which records the field's text is wanted."""
        texts, places = self._spelled(field)
        return _flags(finds(texts))[places]

    def finds_whole(
        self, fields: Sequence[Field], places: NDArray[np.intp], finds: Finds
    ) -> NDArray[np.bool_]:
        """Return of which records the name and all texts, with spaces between them, are wanted."""
        names, wanted = self._lower_names, places.tolist()
        columns = [[names[place] for place in wanted]]
        for field in fields:
            texts, at = self._spelled(field)
            columns.append([texts[n] for n in at[places].tolist()])
        return _flags(finds(list(map(" ".join, zip(*columns, strict=True)))))

    @cached_property
    def _lower_names(self) -> list[str]:
        return lowered(self.names)

    def _spelled(self, field: Field) -> tuple[list[str], NDArray[np.intp]]:
        """Return the field's texts in lower case, and the place of each record's among them."""
        if field.name not in self._texts:
            texts, places = self._spell(field)
            self._texts[field.name] = lowered(texts), places
        return self._texts[field.name]

    def _spell(self, field: Field) -> tuple[list[str], NDArray[np.intp]]:
        cells, number = self.column(field.name), len(self)
        if field.write is not None:
            plain = [] if self._plain is None else [self._plain]
            asked = [*plain, *self._odd.tolist()]
            write = self._written.get(field.name, lambda n: field.text(self[n], False))
            places = np.zeros(number, np.intp)
            places[self._odd] = np.arange(len(self._odd)) + len(plain)
            return list(map(write, asked)), places
        if cells is None:
            return [DASH], np.zeros(number, np.intp)
        if _mixed(cells):
            return [field.text(record, False) for record in self], np.arange(number)
        if isinstance(cells, NumberCells):
            texts, places = number_texts(cells.raw, field.unit)
        else:
            words = self._lexicon.column(field.name, cells)
            texts, places = _shown(words.texts.tolist()), words.places
        known = _known(cells)
        if known is None:
            return texts, places
        return [*texts, DASH], np.where(known, places, len(texts))


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
