"""Readers of rungs: the functions that hooks pass as `Rung.open`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from probes.arrays import FEW
from probes.columns.cells import Cells
from probes.kernel import pid_namespaces
from probes.kernel.tick_cache import active, cached
from probes.model import Column, Entries, Fields, Flat, Kind, Opening, Reading, Row, Table, Value
from probes.toolkit.field_cells import Maker, cells_from, decoder
from probes.toolkit.interface_names import interface_name
from probes.toolkit.others import Others

T = TypeVar("T")
Open = Callable[[Opening], Callable[[], Reading]]
ByRow = Callable[[], Callable[[Row], Mapping[str, Value]]]
"""Called once for each reading, its result for each row."""


class ExtraColumn(NamedTuple):
    """A column that another map knows.

    by_row: its values row by row. of_entries: those of many entries at once. missing: that of rows
    that are no entries.
    """

    name: str
    by_row: ByRow
    of_entries: Maker
    missing: Value


Extra = Callable[[Opening], ByRow | ExtraColumn]
"""Called once when opened."""


def by_columns(
    name: str = "rows", under_way: Mapping[str, Callable[[Flat], int]] | None = None
) -> Open:
    """Return an `open` for one map, a row for each entry: each stored column from its C field.

    With a row of others, where the C counts `everything`. under_way: as in `logged`.
    """

    def open(opening: Opening) -> Callable[[], Reading]:
        table, others = opening.tables[name], Others(opening, name)
        row, cells = row_of(opening.hook.stored, table), cells_from(opening.hook.stored)
        uncounted = Uncounted(opening, under_way or {})

        def read() -> Reading:
            others.before()
            return Reading(others.many(table.entries(), row, cells), uncounted.read())

        return read

    return open


class Uncounted:
    """Events that are in no row, because a map of pending events was full (`counters_c.UNCOUNTED`).

    Where that happens, entries are deleted whose thread ended without an end that was seen. maps:
    each with the function from an entry's key to the number of the thread (or process).
    """

    def __init__(self, opening: Opening, maps: Mapping[str, Callable[[Flat], int]]) -> None:
        self._events = opening.tables.get("uncounted")
        self._maps = [(opening.tables[m], of) for m, of in maps.items() if m in opening.tables]
        self._before = 0

    def read(self) -> int:
        """Return the number of such events so far."""
        found = self._events.row((0,)) if self._events is not None else None
        now = int(found[-1]) if found else 0
        if now > self._before and pid_namespaces.all_seen(pid_namespaces.outermost()):
            for table, thread in self._maps:
                _forget_ended(table, thread)
        self._before = now
        return now


def _forget_ended(table: Table, thread: Callable[[Flat], int]) -> None:
    processes = Path(pid_namespaces.outermost())
    for entry in table.rows():
        if not (processes / str(thread(entry))).exists():
            take(table, entry)


def take(table: Table, entry: Flat) -> bool:
    """Delete an entry, unless a program changed it since it was read; return whether it is gone.

    What a program does with an entry while it is deleted would be lost: delete only entries that no
    program needs.
    """
    key = entry[: table.keys]
    return table.row(key) == entry and table.delete(key)


def thread_of(entry: Flat) -> int:
    """Return the thread of an entry whose key is the value of bpf_get_current_pid_tgid()."""
    return int(entry[0]) & 0xFFFFFFFF


def counting_lost(opening: Opening, shown: str, seen: str = "seen") -> Callable[[list[Flat]], int]:
    """Return a function that tells what an LRU map has lost: all events less those in its rows.

    shown: the field of `rows` that counts them. seen: an array that counts all of them. Call the
    function with the rows; its result never goes back.
    """
    place, total = opening.tables["rows"].fields[shown], opening.tables[seen]
    assert isinstance(place, int)
    lost = 0
    # What is seen while the rows are read must not be taken for lost: asked for before they were.
    before = 0

    def update(rows: list[Flat]) -> int:
        nonlocal lost, before
        lost = max(lost, before - sum(int(row[place]) for row in rows))
        found = total.row((0,))
        before = int(found[-1]) if found else 0
        return lost

    return update


def logged(
    entry: Callable[[Mapping[str, Any]], Row],
    extra: Extra | None = None,
    under_way: Mapping[str, Callable[[Flat], int]] | None = None,
) -> Open:
    """Return an `open` for the map `rows`, with a log entry for each event in the queue `events`.

    entry: the hook's log row of a queue's entry, by C field. extra: what another map knows of a
    row, by column. Events that the queue had no room for, so that no log has them, are those in the
    array `lost`. under_way: maps that are watched for room (`Uncounted`).
    """

    def open(opening: Opening) -> Callable[[], Reading]:
        tables, columns = opening.tables, opening.hook.stored
        rows, events, lost = tables["rows"], tables["events"], tables["lost"]
        row, others = row_of(columns, rows), Others(opening)
        known = extra(opening) if extra is not None else None
        many = _with_extra(columns, row, known)
        uncounted = Uncounted(opening, under_way or {})

        def read() -> Reading:
            log = [entry(record(events, e)) for e in events.drain()]
            others.before()
            made = look(rows.entries())
            missed = lost.row((0,))
            return Reading(made, uncounted.read(), log, int(missed[1]) if missed else 0)

        def look(entries: Entries) -> Iterable[Row]:
            if many is not None and len(entries) > FEW:
                return others.many(entries, *many)
            made = others.rows(entries.rows(), row)
            if known is None:
                return made
            of_row = known.by_row() if isinstance(known, ExtraColumn) else known()
            return [filled(columns, r, of_row(r)) for r in made]

        return read

    return open


def _with_extra(
    columns: Iterable[Column], row: Callable[[Flat], Row], extra: ByRow | ExtraColumn | None
) -> tuple[Callable[[Flat], Row], Callable[[Fields], list[Cells]]] | None:
    """Return what makes a row that is no entry, and columns of entries; None if rows are needed."""
    if extra is None:
        return row, cells_from(columns)
    if not isinstance(extra, ExtraColumn):
        return None
    missing = {extra.name: extra.missing}
    cells = cells_from(columns, {extra.name: extra.of_entries})
    return (lambda entry: filled(columns, row(entry), missing)), cells


def target_in(opening: Opening, sums: str, *others: str) -> Callable[[Iterable[Flat]], list[Flat]]:
    """Count the target in maps that all targets share, until the rung ends.

    sums: a map with an entry for each target, by its number: programs count only where there is
    one. others: maps by such numbers as well. Return the function that picks the target's entries
    of `rows`, whose keys have its number in `ifindex`.
    """
    here, rows, total = opening.ifindex, opening.tables["rows"], opening.tables[sums]
    place = rows.fields["ifindex"]

    def mine(entries: Iterable[Flat]) -> list[Flat]:
        return [entry for entry in entries if entry[place] == here]

    def forget() -> None:
        for table in (total, *(opening.tables[name] for name in others)):
            table.delete((here,))
        for entry in mine(rows.rows()):
            rows.delete(entry[: rows.keys])

    forget()  # it may have been counted before
    total.update((here,), (0,) * (_columns(total) - total.keys))
    opening.stack.callback(forget)
    return mine


def of_interface(extra: Callable[[Opening], Mapping[str, Value]], name: str = "rows") -> Open:
    """Return an `open` for the target's entry of a map keyed by interface number, as the only row.

    extra: values that no map has, by column; called at each reading.
    """

    def open(opening: Opening) -> Callable[[], Reading]:
        table, columns, here = opening.tables[name], opening.hook.stored, opening.ifindex
        # The map is shared by all targets; where it has no room for this one, that is refused here.
        table.update((here,), (0,) * (_columns(table) - table.keys))
        opening.stack.callback(table.delete, (here,))
        row, entry_of_it = row_of(columns, table), _entry_of(table, here)
        empty = tuple(0 if c.kind is Kind.COUNTER and c.field else None for c in columns)
        before: tuple[Flat | None, Mapping[str, Value]] | None = None
        again = Reading()

        def read() -> Reading:
            nonlocal before, again
            entry = entry_of_it()
            known = {"ifindex": here, "interface": interface_name(here), **extra(opening)}
            if before == (now := (entry, known)):
                return again
            made = [filled(columns, row(entry) if entry else empty, known)]
            before, again = now, Reading(made, idle=True)
            return Reading(made)

        return read

    return open


def _columns(table: Table) -> int:
    """Return how many values a row of the table has."""
    places = table.fields.values()
    return sum([p.stop - p.start if isinstance(p, slice) else 1 for p in places])


def _entry_of(table: Table, number: int) -> Callable[[], Flat | None]:
    """Return what reads the entry whose key is a number; the map in one go where all are read."""
    place = 0

    def find() -> Flat | None:
        nonlocal place
        if not active():
            return table.row((number,))
        rows = cached(table.rows)
        if place >= len(rows) or rows[place][0] != number:  # mostly it is where it was
            place = next((n for n, entry in enumerate(rows) if entry[0] == number), len(rows))
        return rows[place] if place < len(rows) else None

    return find


def filled(columns: Iterable[Column], row: Row, known: Mapping[str, Value]) -> Row:
    """Return a row with the columns in `known` set to their values."""
    return tuple([known.get(c.name, value) for c, value in zip(columns, row, strict=True)])


def row_from(columns: Iterable[Column], known: Mapping[str, Value]) -> Row:
    """Return a row of known values; None for the rest."""
    return tuple([known.get(c.name) for c in columns])


def row_of(columns: Iterable[Column], table: Table) -> Callable[[Flat], Row]:
    """Return a function from a map's flat row to a stored row. A column without field is None."""
    columns = list(columns)
    places = [-1 if c.field is None else table.fields[c.field] for c in columns]
    take = itemgetter(*places, -1)
    decoded = [(at, decoder(c)) for at, c in enumerate(columns) if c.field and c.decode]

    def row(entry: Flat) -> Row:
        *values, _ = take((*entry, None))
        for at, decode in decoded:
            values[at] = decode(values[at])
        return tuple(values)

    return row


def once_each(decode: Callable[[Any], T], raw: Iterable[Any]) -> Iterable[T]:
    """Return what a function makes of each value, called once for each that there is."""
    raw = list(raw)
    return map({value: decode(value) for value in set(raw)}.__getitem__, raw)


def record(table: Table, entry: Flat) -> dict[str, Any]:
    """Return a map entry by its C fields' names."""
    return {name: entry[place] for name, place in table.fields.items()}
