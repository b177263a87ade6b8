"""Many rows of one reading as columns: what `Sample.rows` holds for hooks with many rows.

    table = RowTable.of(cells, keys)         # the columns; the places of those that are its key
    table.places_in(before)                  # where each row was in another reading
    table[key]; table.items()                # the same as a mapping of rows

No Python value is made unless somebody asks for a key or a row.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, overload
from weakref import ref

from probes.arrays import FEW, np
from probes.columns.cells import Cells, NumberCells, cells_of, differ, joined, owned, same_array
from probes.columns.groups import alike, hashed
from probes.model import Key, Row, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MANY = 8
"""The part of all rows that are made one by one before all are made at once."""
_SOUGHT, _NEAR = 64, 64
"""Keys that are sought before all are made; rows that may be one, of which each is looked at."""


class ColumnRows(Sequence[Row]):
    """Rows of a reader that has columns; each row is made when it is asked for."""

    def __init__(self, cells: Sequence[Cells]) -> None:
        self.cells = tuple(cells)

    def __len__(self) -> int:
        return len(self.cells[0])

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return list(self)[place]
        return tuple([cells.value(place) for cells in self.cells])

    def __iter__(self) -> Iterator[Row]:
        return zip(*[cells.values() for cells in self.cells], strict=True)

    def followed_by(self, other: ColumnRows) -> ColumnRows:
        """Return these rows and then others of the same columns."""
        if not len(other):
            return self
        return ColumnRows(list(map(joined, self.cells, other.cells)))


class _KeyWords(NamedTuple):
    """Keys as 64-bit words. space: what comparable ones have in common.

    order: places by hash; hashes: in that order. Each hash occurs once.
    """

    space: tuple[object, ...]
    words: NDArray[np.uint64]
    order: NDArray[np.intp]
    hashes: NDArray[np.uint64]


class RowTable(Mapping[Key, Row]):
    """Rows by key. cells: by `Hook.stored`. keys: the places of those that identify a row."""

    def __init__(self, cells: Sequence[Cells], keys: tuple[int, ...]) -> None:
        """Take cells whose keys differ: else see `of`."""
        self.cells, self._places = tuple(cells), keys
        self._asked = self._sought = 0
        self._aligned: tuple[ref[RowTable], NDArray[np.intp]] | None = None

    @classmethod
    def of(cls, cells: Sequence[Cells], keys: tuple[int, ...]) -> RowTable:
        """Return the table; of rows with the same key the last is kept, where the first was."""
        table = cls(cells, keys)
        if table._words is not None:
            return table
        rows = dict(zip(table, ColumnRows(cells), strict=True))
        return table if len(rows) == len(table) else cls.of_rows(list(rows.values()), keys)

    @classmethod
    def of_rows(cls, rows: Iterable[Row], keys: tuple[int, ...]) -> RowTable:
        """Return the table of at least one row, none with the key of another."""
        return cls([cells_of(column) for column in zip(*rows, strict=True)], keys)

    # -- a mapping -----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.cells[0])

    def __iter__(self) -> Iterator[Key]:
        return self._joined([self.cells[place].values() for place in self._places])

    def _joined(self, keys: Sequence[Sequence[Value]]) -> Iterator[Key]:
        return zip(*keys, strict=True) if keys else iter([()] * len(self))

    def keys_of(self, columns: Sequence[Sequence[Value]]) -> Iterator[Key]:
        """Return the keys, of which each column's values were made already."""
        return self._joined([columns[place] for place in self._places])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RowTable) and len(self) == len(other):
            pairs = zip(self.cells, other.cells, strict=False)
            if self.keyed_like(other) and not any(differ(*pair).any() for pair in pairs):
                return True  # else they may be in another order
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def keyed_like(self, other: RowTable) -> bool:
        """Return whether another table has as many columns, and the same for its keys."""
        return len(self.cells) == len(other.cells) and self._places == other._places

    def __reversed__(self) -> Iterator[Key]:
        return map(self.key, range(len(self) - 1, -1, -1))

    def __contains__(self, key: object) -> bool:
        return self.find(key) >= 0

    def __getitem__(self, key: Key) -> Row:
        place = self.place(key)
        if self._asked > len(self) // _MANY:
            return self._rows[place]
        self._asked += 1
        return self.row(place)

    @cached_property
    def _rows(self) -> list[Row]:
        """All rows, once many were asked for one by one."""
        return list(self.values())

    def items(self) -> ItemsView[Key, Row]:
        return _Items(self)

    def values(self) -> ValuesView[Row]:
        return _Values(self)

    @property
    def keyed(self) -> tuple[int, ...]:
        """The places of the cells that identify a row."""
        return self._places

    def key(self, place: int) -> Key:
        """Return the key of the row at a place."""
        return tuple([self.cells[at].value(place) for at in self._places])

    def row(self, place: int) -> Row:
        """Return the row at a place."""
        return tuple([cells.value(place) for cells in self.cells])

    def place(self, key: Key) -> int:
        """Return the place of a row. Raises KeyError."""
        if (place := self.find(key)) < 0:
            raise KeyError(key)
        return place

    def find(self, key: object) -> int:
        """Return the place of a row, -1 for none. For a few, not all keys are made."""
        self._sought += 1
        if self._sought > _SOUGHT or len(self) <= FEW or "_index" in self.__dict__:
            return self._index.get(key, -1)  # type: ignore[call-overload, no-any-return]
        if not isinstance(key, tuple) or len(key) != len(self._places):
            return -1
        there = self._with_numbers(key)
        if len(there) > _NEAR:
            return self._index.get(key, -1)
        return next((place for place in there.tolist() if self.key(place) == key), -1)

    def _with_numbers(self, key: Key) -> NDArray[np.intp]:
        """Return the places of the rows whose keys have its integers, and its unknown ones."""
        found = np.arange(len(self))
        for at, value in zip(self._places, key, strict=True):
            cells = self.cells[at]
            if isinstance(cells, NumberCells) and type(value) is int:
                found = found[cells.raw[found] == value]
            elif isinstance(cells, NumberCells) and value is None:
                found = found[~cells.flags()[found]]
        return found

    @cached_property
    def _index(self) -> dict[Key, int]:
        return {key: place for place, key in enumerate(self)}

    def at(self, places: NDArray[Any]) -> RowTable:
        """Return the rows at these places, or those that have a flag."""
        return RowTable([cells.at(places) for cells in self.cells], self._places)

    def joined_with(self, other: RowTable) -> RowTable:
        """Return the rows of both, none of which has the key of another."""
        pairs = zip(self.cells, other.cells, strict=True)
        return RowTable([joined(ours, theirs) for ours, theirs in pairs], self._places)

    def has_keys_of(self, cells: Sequence[Cells]) -> bool:
        """Return whether the keys of such columns are the very cells that are the keys here."""
        return all(cells[place] is self.cells[place] for place in self._places)

    def with_cells(self, cells: Sequence[Cells]) -> RowTable:
        """Return a table of other columns that has the keys of this one (`has_keys_of`)."""
        made = RowTable(cells, self._places)
        made._take_keys(self)
        return made

    def _take_keys(self, other: RowTable) -> None:
        """Take over what is known of equal keys."""
        known = {"_words", "_index"} & other.__dict__.keys()
        self.__dict__.update({name: other.__dict__[name] for name in known})

    def only_keys(self) -> RowTable:
        """Return a table of the keys alone, which holds nothing else: to be kept for longer."""
        cells = [self.cells[place] for place in self._places]
        copies = [each.with_raw(each.raw.copy(), each.known) for each in cells]
        return RowTable(copies, tuple(range(len(copies)))) if copies else self

    def distinct(self) -> tuple[RowTable, NDArray[np.intp]] | None:
        """Return the keys that differ, in a table of their own, and the place of each row's in it.

        For a table whose keys may be alike. None where its keys are not comparable as words.
        """
        cells = [self.cells[place] for place in self._places]
        groups = alike(cells) if len(self) else None
        if groups is None:
            return None
        found = [each.at(groups.first) for each in cells]
        return RowTable(found, tuple(range(len(found)))), groups.of

    def keep(self, before: RowTable | None) -> None:
        """Hold no buffers of which these columns are parts, and no column twice.

        before: an earlier table; columns that are equal there are taken from it where its keys are
        the same, in the same order. Only before anybody else has this table.
        """
        if self is before:
            return
        if before is None or not self._has_equal_keys(before):
            self.cells = tuple(map(owned, self.cells))
            return
        pairs = zip(self.cells, before.cells, strict=True)
        self.cells = tuple([was if same_array(now, was) else owned(now) for now, was in pairs])
        self._take_keys(before)

    def _has_equal_keys(self, other: RowTable) -> bool:
        if len(self) != len(other) or not self.keyed_like(other):
            return False
        return all(same_array(self.cells[n], other.cells[n]) for n in self._places)

    # -- beside another ------------------------------------------------------------------------

    def places_in(self, other: RowTable) -> NDArray[np.intp]:
        """Return the place of each row in another table; -1: it is not there."""
        if self._aligned is None or self._aligned[0]() is not other:
            self._aligned = ref(other), self._places_in(other)
        return self._aligned[1]

    def _places_in(self, other: RowTable) -> NDArray[np.intp]:
        mine, theirs = self._words, other._words
        if mine is not None and mine is theirs:
            return np.arange(len(self), dtype=np.intp)
        if mine is not None and theirs is not None and mine.space != theirs.space:
            mine, theirs = self._flagged_words, other._flagged_words  # some unknown in one only
        if mine is None or theirs is None or mine.space != theirs.space:
            known = other._index
            return np.fromiter((known.get(key, -1) for key in self), np.intp, len(self))
        if len(self) == len(other) and np.array_equal(mine.words, theirs.words):
            return np.arange(len(self), dtype=np.intp)
        return _found(mine, theirs)

    @cached_property
    def _words(self) -> _KeyWords | None:
        """The keys as words; None where they have none, or two have the same hash."""
        keys = [self.cells[place] for place in self._places]
        space = tuple([cells.space for cells in keys])
        if not keys or None in space or not len(self):
            return None
        return _key_words(space, [cells.words() for cells in keys])

    @cached_property
    def _flagged_words(self) -> _KeyWords | None:
        """The same, to be compared with keys of which others are unknown."""
        keys = [self.cells[place].flagged_words() for place in self._places]
        space = tuple([space for space, _ in keys])
        return None if None in space else _key_words(space, [words for _, words in keys])


def _key_words(
    space: tuple[object, ...], columns: Sequence[NDArray[np.uint64]]
) -> _KeyWords | None:
    words = np.ascontiguousarray(np.column_stack(columns))
    hashes = hashed(words)
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    return None if (hashes[1:] == hashes[:-1]).any() else _KeyWords(space, words, order, hashes)


def _found(mine: _KeyWords, theirs: _KeyWords) -> NDArray[np.intp]:
    """Return the place of each of mine in theirs, -1 for none."""
    hashes = hashed(mine.words)
    near = np.minimum(np.searchsorted(theirs.hashes, hashes), len(theirs.hashes) - 1)
    places = theirs.order[near]
    same = (theirs.words[places] == mine.words).all(axis=1)
    return np.where(same, places, -1)


class _Items(ItemsView[Key, Row]):
    _mapping: RowTable

    def __iter__(self) -> Iterator[tuple[Key, Row]]:
        columns = [cells.values() for cells in self._mapping.cells]
        keys = self._mapping.keys_of(columns)
        return zip(keys, zip(*columns, strict=True), strict=True)


class _Values(ValuesView[Row]):
    _mapping: RowTable

    def __iter__(self) -> Iterator[Row]:
        return iter(ColumnRows(self._mapping.cells))
