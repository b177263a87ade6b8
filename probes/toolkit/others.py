"""Rows for what a full map evicted: rows without a process, and a row of others.

A map of rows (LRU) evicts the row that was not counted for longest. The counts that such a row had
when it was last read live on in one row for all processes that differed in their number only;
events that were evicted before they were read are in one further row, as the sum of all events less
those in rows. So none of these counters goes back, and no sum does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import add, itemgetter, lt, sub
from typing import TYPE_CHECKING, Any

from probes.arrays import FEW, np
from probes.columns.cells import Cells, CodedCells, ObjectCells, cells_of, joined
from probes.columns.row_table import ColumnRows, RowTable
from probes.model import OTHERS, Column, Entries, Flat, Kind, Opening, Row, Table, Value
from probes.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_GROUPS = 1024
"""Rows of processes that are gone; any beyond are among the others."""
MAX_STAYING = 4096
"""Evicted rows that are kept, for readers whose rows stay."""

Lanes = list[int]
"""A row's counters, one after the other, each bucket of a histogram as well."""


class Others:
    """The rows beside those in the map, made again at each reading.

    `before` is called before the map is read, and `rows` with its entries: events counted meanwhile
    are then in no row of others. Without a map `sums` that counts all events (`counters_c`) there
    are no others. of: its key. by_process: whether rows of processes may be merged. stay: evicted
    rows remain rows, as their reader merges several into one.
    """

    def __init__(
        self,
        opening: Opening,
        rows: str = "rows",
        *,
        sums: str = "everything",
        of: Flat = (0,),
        by_process: bool = True,
        stay: bool = False,
    ) -> None:
        table = opening.tables[rows]
        self._all, self._of = opening.tables.get(sums), of
        self._columns = opening.hook.stored
        self._keys = table.keys if self._all is not None else 0
        self._lanes_of = _shared(table, self._all, self._columns)
        self._places = [
            pair
            for _, row, sum in self._lanes_of
            for pair in zip(_each(row), _each(sum), strict=True)
        ]
        self._key_fields = [n for n, at in table.fields.items() if _first(at) < self._keys]
        self._single = [n for n, (at, _) in enumerate(self._places) if at in table.fields.values()]
        "Lanes that are no bucket of a histogram."
        self._singles = _taking([self._places[n][0] for n in self._single])
        self._pid = _place_in_key(table, "pid") if self._keys > 1 and by_process else None
        self._stay = stay
        self._fields = {name: at for name, at in table.fields.items() if isinstance(at, int)}
        self._counted: Flat | None = None
        self._known: dict[Flat, Flat] = {}
        self._known_many: tuple[RowTable, Entries] | None = None
        self._gone: dict[Flat, Lanes] = defaultdict(self._nothing)
        self._gone_all, self._left = self._nothing(), self._nothing()
        self._added: dict[Flat, Lanes] = defaultdict(self._nothing)
        self._added_all = self._nothing()
        self._added_to: dict[Flat, Flat] = {}
        self._empty: list[int | bytes] = []
        self._extra_flat: list[Flat] | None = None
        "What is in no entry of the map, as long as it stays the same."

    def _nothing(self) -> Lanes:
        return [0] * len(self._places)

    def before(self) -> None:
        """Note how much has been counted so far."""
        self._counted = self._all.row(self._of) if self._all is not None else None

    @property
    def full(self) -> bool:
        """Return whether the map has evicted anything that was counted."""
        return bool(self._gone) or any(self._left)

    def add(self, key: Flat, field: str) -> None:
        """Count an event that no program sees, in the row of this key, as a program would.

        The row may be gone, or never come: then the event is where such events are.
        """
        lane = [place for place, _ in self._places].index(self._fields[field])
        self._added[key][lane] += 1
        self._added_all[lane] += 1

    def rows(self, entries: list[Flat], row: Callable[[Flat], Row]) -> list[Row]:
        """Return a row for each entry, and the rows of what is in none of them."""
        if self._counted is None or not entries:
            return list(map(row, entries))
        entries = self._completed(entries)
        made = list(map(row, entries))
        self._follow(entries)
        self._weigh(entries, self._counted)
        return [*made, *self._extra(entries[0], row)]

    def many(
        self,
        entries: Entries,
        row: Callable[[Flat], Row],
        cells: Callable[[Entries], Sequence[Cells]],
    ) -> Iterable[Row]:
        """Return the same as columns, if there are many entries. cells: makes all that `row` does.

        What was added to a row, or has gone since, is looked at row by row, and nothing else.
        """
        if len(entries) <= FEW:
            return self.rows(entries.rows(), row)
        if self._counted is None:
            return ColumnRows(cells(entries))
        whole = self._with_added_many(entries) if self._added else entries
        if whole is None:
            return self.rows(entries.rows(), row)
        entries = whole
        self._follow_many(entries)
        self._weigh_many(entries, self._counted)
        if not self.full:
            return ColumnRows(cells(entries))
        like = entries.where(np.arange(1)).rows()[0]
        all = self._completed_many(entries, like, cells)
        if all is not None:
            return all
        extra = zip(*self._extra(like, row), strict=True)
        pairs = zip(cells(entries), extra, strict=True)
        return ColumnRows([joined(one, cells_of(more)) for one, more in pairs])

    def _completed_many(
        self, entries: Entries, like: Flat, cells: Callable[[Entries], Sequence[Cells]]
    ) -> ColumnRows | None:
        """Return the columns of the entries and of what is in none, made as if that were entries.

        None where that cannot be.
        """
        if self._extra_flat is None:
            self._extra_flat = self._flat_extra(like)
        number, all = len(entries), entries.followed_by(self._extra_flat)
        if all is None:
            return None
        made = list(cells(all))
        groups = np.arange(number, number + len(self._gone))
        last = np.arange(number + len(self._gone), len(made[0]))
        named = named_others(self._columns, (0,) * len(made))
        for at, (column, name) in enumerate(zip(self._columns, named, strict=True)):
            if column.field == "pid" and not self._stay:
                made[at] = _without(made[at], groups)
            if name is None:
                made[at] = _without(made[at], last)
            elif name == OTHERS and len(last):
                made[at] = _with_text(made[at], int(last[0]), OTHERS)
        return ColumnRows(made)

    def _flat_extra(self, like: Flat) -> list[Flat]:
        """Return what is in no entry, as entries."""
        made = [self._entry(like, lanes, group) for group, lanes in self._gone.items()]
        return [*made, self._entry(like, self._left)] if any(self._left) else made

    def _extra(self, like: Flat, row: Callable[[Flat], Row]) -> list[Row]:
        """Return the rows of what is in no entry. like: any entry."""
        made = []
        for group, lanes in self._gone.items():
            gone = row(self._entry(like, lanes, group))
            made.append(gone if self._stay else self._without_pid(gone))
        if any(self._left):
            made.append(self._named(row(self._entry(like, self._left))))
        return made

    def _completed(self, entries: list[Flat]) -> list[Flat]:
        """Return the rows with what was added, for as long as a row is the same."""
        if not self._added:
            return entries
        found = {key: e for e in entries if (key := e[: self._keys]) in self._added}
        for key, before in self._added_to.items():
            if key in found and self._begins_anew(before, found[key]):
                del found[key]
        self._added = defaultdict(self._nothing, {key: self._added[key] for key in found})
        self._added_to = found
        return [self._with_added(entry) for entry in entries]

    def _with_added_many(self, entries: Entries) -> Entries | None:
        """Do the same as `_completed` with columns; None for numbers that the map cannot hold."""
        like = entries.where(np.arange(1)).rows()[0]
        keys = [self._entry(like, self._nothing(), key) for key in self._added]
        wanted = entries.where(np.arange(0)).followed_by(keys)
        if wanted is None:
            return None
        at = self._key_table(wanted).places_in(self._key_table(entries))
        at = at[at >= 0]
        rest = np.delete(np.arange(len(entries)), at)
        made = entries.where(rest).followed_by(self._completed(entries.where(at).rows()))
        in_order = np.argsort(np.concatenate([rest, at]))
        return None if made is None else made.where(in_order)

    def _begins_anew(self, before: Flat, now: Flat) -> bool:
        """Return whether the row was evicted and made again since."""
        return before != now and any(map(lt, self._singles(now), self._singles(before)))

    def _with_added(self, entry: Flat) -> Flat:
        key = entry[: self._keys]
        if key not in self._added:
            return entry
        return self._entry(entry, list(map(add, self._lanes(entry), self._added[key])), entry)

    def _follow(self, entries: list[Flat]) -> None:
        """Take over what has gone since the previous reading, as far as that had it."""
        before, keys = self._known_rows(), self._keys
        self._known = now = {entry[:keys]: entry for entry in entries}
        self._known_many = None
        if self._pid is None and not self._stay:
            return  # nothing is alike: they are among the others
        anew = self._begins_anew
        gone = [
            k
            for k, was in before.items()
            if k not in now or (was is not (row := now[k]) and was != row and anew(was, row))
        ]
        self._take_over(gone, before)

    def _known_rows(self) -> Mapping[Flat, Flat]:
        if self._known_many is None:
            return self._known
        return {entry[: self._keys]: entry for entry in self._known_many[1].rows()}

    def _follow_many(self, entries: Entries) -> None:
        """Do the same with columns."""
        if self._known_many is None and self._known:
            self._follow(entries.rows())
            self._known, self._known_many = {}, (self._key_table(entries), entries)
            return
        before, now = self._known_many, self._key_table(entries)
        self._known_many = now, entries
        if before is None or (self._pid is None and not self._stay):
            return
        keys, old = before
        at = keys.places_in(now)
        gone = at < 0
        for name, place, _ in self._lanes_of:
            if isinstance(place, int):
                gone |= entries[name][at] < old[name]
        if gone.any():
            rows = {row[: self._keys]: row for row in old.where(gone).rows()}
            self._take_over(rows.keys(), rows)

    def _key_table(self, entries: Entries) -> RowTable:
        """Return the keys of the entries, which are compared as the map has them."""
        fields = [entries[name] for name in self._key_fields]
        cells = [CodedCells(raw, str) for raw in fields]
        return RowTable(cells, tuple(range(len(cells))))

    def _take_over(self, gone: Iterable[Flat], before: Mapping[Flat, Flat]) -> None:
        for key in gone:
            group = self._group(key)
            if group in self._gone or len(self._gone) < (MAX_STAYING if self._stay else MAX_GROUPS):
                self._extra_flat = None
                lanes = self._lanes(before[key])
                self._gone[group] = list(map(add, self._gone[group], lanes))
                self._gone_all = list(map(add, self._gone_all, lanes))

    def _group(self, key: Flat) -> Flat:
        if self._pid is None or self._stay:
            return key
        return (*key[: self._pid], 0, *key[self._pid + 1 :])

    def _weigh(self, entries: list[Flat], counted: Flat) -> None:
        if not any(self._unseen(n, entries, counted) > self._left[n] for n in self._single):
            return
        self._leave(map(sum, zip(*map(self._lanes, entries), strict=True)), counted)

    def _leave(self, sums: Iterable[int], counted: Flat) -> None:
        """Add what is in no row by now. sums: what is in rows."""
        seen = map(add, [counted[at] for _, at in self._places], self._added_all)
        left = map(sub, map(sub, seen, sums), self._gone_all)
        self._left = list(map(max, self._left, left))
        self._extra_flat = None

    def _weigh_many(self, entries: Entries, counted: Flat) -> None:
        sums = [total for name, _, _ in self._lanes_of for total in _totals(entries[name])]
        seen = map(add, [counted[at] for _, at in self._places], self._added_all)
        unseen = list(map(sub, map(sub, seen, sums), self._gone_all))
        if any(unseen[n] > self._left[n] for n in self._single):
            self._leave(sums, counted)

    def _unseen(self, lane: int, entries: list[Flat], counted: Flat) -> int:
        """Return how much of a lane is in no row."""
        place, all = self._places[lane]
        here: int = sum(map(itemgetter(place), entries))
        seen: int = counted[all] + self._added_all[lane]
        return seen - here - self._gone_all[lane]

    def _lanes(self, entry: Flat) -> Lanes:
        return [entry[place] for place, _ in self._places]

    def _entry(self, like: Flat, lanes: Lanes, key: Flat = ()) -> Flat:
        """Return an entry as the map would have it; what is not known is empty."""
        if not self._empty:
            self._empty = [b"" if isinstance(value, bytes) else 0 for value in like]
        made = self._empty.copy()
        made[: len(key)] = key
        for (place, _), value in zip(self._places, lanes, strict=True):
            made[place] = value
        return tuple(made)

    def _without_pid(self, row: Row) -> Row:
        return tuple(
            None if column.field == "pid" else value
            for column, value in zip(self._columns, row, strict=True)
        )

    def _named(self, row: Row) -> Row:
        return named_others(self._columns, row)


def named_others(columns: Iterable[Column], row: Row) -> Row:
    """Return a row that is identified by its name only."""
    columns = list(columns)
    keys = [column for column in columns if _identifies(column)]
    text = next((column for column in keys if column.unit is Unit.TEXT), None)
    return tuple(
        (OTHERS if column is text else None) if column in keys else value
        for column, value in zip(columns, row, strict=True)
    )


def row_of_others(columns: Iterable[Column], known: Mapping[str, Value]) -> Row:
    """Return a row of others from what is known, by column."""
    columns = list(columns)
    return named_others(columns, tuple(known.get(column.name) for column in columns))


def _identifies(column: Column) -> bool:
    return column.kind is Kind.KEY or column.label is True


def _shared(
    rows: Table, everything: Table | None, columns: Iterable[Column]
) -> list[tuple[str, int | slice, int | slice]]:
    """Return each counter's field, and its place in an entry of the rows and in that of the sum."""
    if everything is None:
        return []
    no_sum = {c.field for c in columns if c.kind in (Kind.KEY, Kind.LEVEL)} | {"key"}
    names = [n for n in everything.fields if n in rows.fields and n not in no_sum]
    return [(n, rows.fields[n], everything.fields[n]) for n in names]


def _without(cells: Cells, places: NDArray[Any]) -> Cells:
    """Return cells that are not known at these places."""
    if not len(places):
        return cells
    known = cells.flags().copy()
    known[places] = False
    return cells.with_raw(cells.raw, known)


def _with_text(cells: Cells, place: int, text: str) -> Cells:
    """Return cells with a text at one place."""
    raw = cells.raw.copy()
    if isinstance(cells, ObjectCells):
        raw[place] = text
        return ObjectCells(raw, cells.known)
    if isinstance(cells, CodedCells) and raw.ndim > 1 and raw.shape[1] > len(text):
        raw[place] = np.frombuffer(text.encode().ljust(raw.shape[1], b"\0"), "u1")
        made = CodedCells(raw, cells.decode, cells.known)
        if made.value(place) == text:
            return made
    one, after = np.arange(len(cells)), place + 1
    parts = joined(cells.at(one[:place]), cells_of([text]))
    return joined(parts, cells.at(one[after:])) if after < len(cells) else parts


def _taking(places: Sequence[int]) -> Callable[[Flat], tuple[Any, ...]]:
    """Return a function that takes these places out of an entry."""
    if not places:
        return lambda _: ()
    take = itemgetter(*places, places[0])  # of one place alone it would make no tuple
    return lambda entry: take(entry)[:-1]


def _first(place: int | slice) -> int:
    return int(place.start) if isinstance(place, slice) else place


def _totals(counters: NDArray[Any]) -> list[int]:
    """Return the sums of a field of all entries, exactly: one, or one for each bucket."""
    columns = counters[:, None] if counters.ndim == 1 else counters
    if int(columns.max()) * len(columns) >> 63:
        return [sum(column) for column in columns.T.tolist()]
    return list(columns.sum(axis=0).tolist())


def _each(place: int | slice) -> Iterable[int]:
    return range(place.start, place.stop) if isinstance(place, slice) else (place,)


def _place_in_key(table: Table, field: str) -> int | None:
    place = table.fields.get(field)
    return place if isinstance(place, int) and place < table.keys else None
