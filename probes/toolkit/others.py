"""What a map threw out when it was full: rows without a process, and a row of others.

A map of rows (LRU) throws out what was not counted for longest. What such a row had when it was
last read goes on in one row for all processes that were alike but for their number; what nobody has
read in time is in one row more, as the sum of all events less what is in rows. So none of these
counters goes back, and no sum does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from operator import add, itemgetter, sub

from probes.model import OTHERS, Column, Flat, Kind, Opening, Row, Table, Value
from probes.units import Unit

MAX_GROUPS = 1024
"""Rows of processes that have gone; what would be in others beside these is among the others."""
MAX_STAYING = 4096
"""Rows that are not in the map any more, where those stay."""

Lanes = list[int]
"""A row's counters, one after the other, each bucket of a histogram as well."""


class Others:
    """The rows beside those that are in the map, made anew at each reading.

    `before` is called before the map is read, and `rows` with its entries: what is counted
    meanwhile is then in no row of others. Without a map `sums` that counts all events
    (`counters_c`) there are no others. of: its key. by_process: whether rows of processes may
    become one. stay: rows that are thrown out stay rows, as their reader makes one of several.
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
        self._places = _shared(table, self._all, self._columns)
        self._single = [n for n, (at, _) in enumerate(self._places) if at in table.fields.values()]
        """Lanes that are no bucket of a histogram."""
        self._pid = _place_in_key(table, "pid") if self._keys > 1 and by_process else None
        self._stay = stay
        self._fields = {name: at for name, at in table.fields.items() if isinstance(at, int)}
        self._counted: Flat | None = None
        self._known: dict[Flat, Flat] = {}
        self._gone: dict[Flat, Lanes] = defaultdict(self._nothing)
        self._gone_all, self._left = self._nothing(), self._nothing()
        self._added: dict[Flat, Lanes] = defaultdict(self._nothing)
        self._added_all = self._nothing()
        self._added_to: dict[Flat, Flat] = {}

    def _nothing(self) -> Lanes:
        return [0] * len(self._places)

    def before(self) -> None:
        """Note how much has been counted so far."""
        self._counted = self._all.row(self._of) if self._all is not None else None

    @property
    def full(self) -> bool:
        """Whether the map has thrown out anything that was counted."""
        return bool(self._gone) or any(self._left)

    def add(self, key: Flat, field: str) -> None:
        """Count an event that no program sees, in the row of this key, as one would.

        The row may have gone, or never come: then the event is where such are.
        """
        lane = [place for place, _ in self._places].index(self._fields[field])
        self._added[key][lane] += 1
        self._added_all[lane] += 1

    def rows(self, entries: list[Flat], row: Callable[[Flat], Row]) -> list[Row]:
        """Return a row for each entry, and those of what is in none of them."""
        if self._counted is None or not entries:
            return list(map(row, entries))
        entries = self._completed(entries)
        made = list(map(row, entries))
        self._follow(entries)
        self._weigh(entries, self._counted)
        like = entries[0]
        for group, lanes in self._gone.items():
            gone = row(self._entry(like, lanes, group))
            made.append(gone if self._stay else self._without_pid(gone))
        if any(self._left):
            made.append(self._named(row(self._entry(like, self._left))))
        return made

    def _completed(self, entries: list[Flat]) -> list[Flat]:
        """Return them with what was added: for as long as the row is the one that was there."""
        if not self._added:
            return entries
        found = {key: e for e in entries if (key := e[: self._keys]) in self._added}
        for key, before in self._added_to.items():
            if key in found and self._begins_anew(before, found[key]):
                del found[key]
        self._added = defaultdict(self._nothing, {key: self._added[key] for key in found})
        self._added_to = found
        return [self._with_added(entry) for entry in entries]

    def _begins_anew(self, before: Flat, now: Flat) -> bool:
        """Whether it was thrown out and made again since."""
        places = self._places
        return before != now and any(now[places[n][0]] < before[places[n][0]] for n in self._single)

    def _with_added(self, entry: Flat) -> Flat:
        key = entry[: self._keys]
        if key not in self._added:
            return entry
        return self._entry(entry, list(map(add, self._lanes(entry), self._added[key])), entry)

    def _follow(self, entries: list[Flat]) -> None:
        """Take over what has gone since the reading before, as far as it was in that."""
        before, keys = self._known, self._keys
        self._known = now = {entry[:keys]: entry for entry in entries}
        if self._pid is None and not self._stay:
            return  # nothing is alike: they are among the others
        gone = before.keys() - now.keys()
        gone |= {k for k in before.keys() & now.keys() if self._begins_anew(before[k], now[k])}
        for key in gone:
            group = self._group(key)
            if group in self._gone or len(self._gone) < (MAX_STAYING if self._stay else MAX_GROUPS):
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
        sums = map(sum, zip(*map(self._lanes, entries), strict=True))
        seen = map(add, [counted[at] for _, at in self._places], self._added_all)
        left = map(sub, map(sub, seen, sums), self._gone_all)
        self._left = list(map(max, self._left, left))

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
        made = [b"" if isinstance(value, bytes) else 0 for value in like]
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
    """Return the same of what is known, by column."""
    columns = list(columns)
    return named_others(columns, tuple(known.get(column.name) for column in columns))


def _identifies(column: Column) -> bool:
    return column.kind is Kind.KEY or column.label is True


def _shared(
    rows: Table, everything: Table | None, columns: Iterable[Column]
) -> list[tuple[int, int]]:
    """Return where each counter stands in an entry of the rows, and in that of the sum."""
    if everything is None:
        return []
    no_sum = {c.field for c in columns if c.kind in (Kind.KEY, Kind.LEVEL)} | {"key"}
    names = [n for n in everything.fields if n in rows.fields and n not in no_sum]
    pairs = [(rows.fields[n], everything.fields[n]) for n in names]
    return [two for row, sum in pairs for two in zip(_each(row), _each(sum), strict=True)]


def _each(place: int | slice) -> Iterable[int]:
    return range(place.start, place.stop) if isinstance(place, slice) else (place,)


def _place_in_key(table: Table, field: str) -> int | None:
    place = table.fields.get(field)
    return place if isinstance(place, int) and place < table.keys else None
