"""Counts that a row took over from rows that a full map evicted: they were counted before.

Rows of evicted ones (`toolkit.others`) are the last of a sample: rows of processes that were alike,
without a pid, and rows called OTHERS, for all that have the other keys in common. A row that is
missing has been evicted, unless the limit on memory hides some (`Sample.forgotten`): then that is
not known, and only as much is taken for evicted as such rows grew by. So nothing is counted twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from math import inf
from operator import add
from typing import TYPE_CHECKING

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, differ
from probes.columns.row_table import RowTable
from probes.model import OTHERS, Hook, Key, Row, Value
from probes.units import DASH

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ANY = (OTHERS, None, DASH, "", 0)
"""The value of a key in a row of others that covers all of them."""


def bases(
    hook: Hook, before: Mapping[Key, Row], now: Mapping[Key, Row], *, hidden: bool = False
) -> tuple[Mapping[Key, Row], set[Key]]:
    """Return the values that such rows are to be compared with, and the rows that they took over.

    before, now: the rows of two consecutive samples. hidden: whether there are rows beside those of
    `now`.
    """
    takers = list(_takers(hook, now))
    if not takers:
        return {}, set()
    before, now = _concerned(hook, before, now, len(takers))
    left = _Left(hook, before, now)
    found: dict[Key, Row] = {}
    taken: set[Key] = set()
    for key in sorted(takers, key=lambda key: (OTHERS in key, sum([v in _ANY for v in key]))):
        own = [before[key]] if key in before else []
        alike = left.of(key)
        if hidden:
            alike = left.as_many(alike, now[key], own)
        taken.update(alike)
        if rows := [*(before[k] for k in alike), *own]:
            found[key] = _base(hook, now[key], rows)
    return found, taken


def unknown(hook: Hook, before: Mapping[Key, Row], now: Mapping[Key, Row]) -> Mapping[Key, Row]:
    """Return the same where rows were hidden before: any growth may come from one of them.

    Compared with it no counter has a rate.
    """
    places = [place for place, _, _ in hook.places.sums]
    takers = list(_takers(hook, now))
    before, now = _of_takers(before, now, len(takers))
    grown = [k for k in takers if k in before and _grew(before[k], now[k], places)]
    return {key: tuple(inf if i in places else v for i, v in enumerate(now[key])) for key in grown}


def _concerned(
    hook: Hook, before: Mapping[Key, Row], now: Mapping[Key, Row], takers: int
) -> tuple[Mapping[Key, Row], Mapping[Key, Row]]:
    """Return the rows of both that matter here: of tables the others are never made."""
    if not (isinstance(before, RowTable) and isinstance(now, RowTable)):
        return before, now
    at = before.places_in(now)
    wanted = (at < 0) | (at >= len(now) - takers)
    there = np.flatnonzero(at >= 0)
    for place, _ in hook.places.counters:
        wanted[there] |= _may_fall(before.cells[place].at(there), now.cells[place].at(at[there]))
    return _made(before, np.flatnonzero(wanted)), _made(now, at[wanted], takers)


def _of_takers(
    before: Mapping[Key, Row], now: Mapping[Key, Row], takers: int
) -> tuple[Mapping[Key, Row], Mapping[Key, Row]]:
    """Return the same rows, and only those that take over."""
    if not (isinstance(before, RowTable) and isinstance(now, RowTable)):
        return before, now
    at = before.places_in(now) if takers else np.zeros(len(before), np.intp)
    wanted = at >= len(now) - takers
    return _made(before, np.flatnonzero(wanted)), _made(now, at[wanted], takers)


def _may_fall(was: Cells, now: Cells) -> NDArray[np.bool_]:
    """Return which counters may have fallen; the others have not."""
    numbers = isinstance(was, NumberCells) and isinstance(now, NumberCells)
    if not numbers or was.raw.dtype.kind != now.raw.dtype.kind:
        return differ(now, was)
    found: NDArray[np.bool_] = was.raw > now.raw
    return found


def _made(table: RowTable, places: NDArray[np.intp], last: int = 0) -> Mapping[Key, Row]:
    """Return the rows at these places, and so many of the last ones."""
    end = len(table)
    places = np.concatenate(
        (places[(places >= 0) & (places < end - last)], np.arange(end - last, end))
    )
    return dict(table.at(places).items())


def _grew(before: Row, now: Row, places: Iterable[int]) -> bool:
    return any(before[place] != now[place] for place in places)


def _takers(hook: Hook, now: Mapping[Key, Row]) -> Iterator[Key]:
    """Return the rows that take over; the last row is the first."""
    rows = now if isinstance(now, dict | RowTable) else dict(now)
    if not may_take_over(next(reversed(rows), ())):  # as of most hooks at most times
        return iter(())
    pid = _pid(hook)
    return takewhile(lambda key: _takes(key, pid), reversed(rows))


def may_take_over(key: Key) -> bool:
    """Return whether a row with this key may be one that takes over from others."""
    return OTHERS in key or None in key


def _takes(key: Key, pid: int | None) -> bool:
    return OTHERS in key or (pid is not None and key[pid] is None)


class _Left:
    """Rows that are missing, and those that are back and count from zero."""

    def __init__(self, hook: Hook, before: Mapping[Key, Row], now: Mapping[Key, Row]) -> None:
        self._pid = _pid(hook)
        self._before, self._now = before, now
        self._counters = [place for place, _ in hook.places.counters]
        self._main = self._counters[0] if self._counters else None
        self._keys = dict.fromkeys(k for k in before if self._has_gone(k))
        self._alike: dict[tuple[int, ...], dict[Key, list[Key]]] = {}

    def _has_gone(self, key: Key) -> bool:
        return (key not in self._now or self._less(key)) and not _takes(key, self._pid)

    def of(self, taker: Key) -> list[Key]:
        """Return those that it may have taken over."""
        places = tuple(self._told_apart(taker))
        if places not in self._alike:
            self._alike[places] = self._grouped(places)
        alike = self._alike[places].pop(tuple(taker[i] for i in places), [])
        found = [key for key in alike if key in self._keys]
        for key in found:
            del self._keys[key]
        return found

    def _told_apart(self, taker: Key) -> Iterator[int]:
        """Yield the places of the keys that those have in common with it."""
        others = OTHERS in taker
        for place, value in enumerate(taker):
            if (value not in _ANY) if others else place != self._pid:
                yield place

    def _grouped(self, places: tuple[int, ...]) -> dict[Key, list[Key]]:
        groups: dict[Key, list[Key]] = defaultdict(list)
        for key in self._keys:
            groups[tuple([key[i] for i in places])].append(key)
        return groups

    def as_many(self, keys: list[Key], now: Row, own: list[Row]) -> list[Key]:
        """Return those that are gone for certain, and more as long as the taker grew by them."""
        grown = self._count(now) - sum(map(self._count, own))
        found = [key for key in keys if key in self._now]
        grown -= sum(self._count(self._before[key]) for key in found)
        for key in keys:
            if grown <= 0:
                break
            if key not in self._now:
                found.append(key)
                grown -= self._count(self._before[key])
        return found

    def _less(self, key: Key) -> bool:
        now, before = self._now[key], self._before[key]
        return now != before and any(_below(now[i], before[i]) for i in self._counters)

    def _count(self, row: Row) -> int:
        value = row[self._main] if self._main is not None else None
        return value if isinstance(value, int) else 0


def _below(value: Value, other: Value) -> bool:
    return isinstance(value, int) and isinstance(other, int) and value < other


def _pid(hook: Hook) -> int | None:
    names = [hook.places.names[place] for place in hook.places.keys]
    return names.index("pid") if "pid" in names else None


def _base(hook: Hook, now: Row, rows: list[Row]) -> Row:
    """Return their sums, as far as they are in the row by now."""
    made = list(now)
    for place, _, _ in hook.places.sums:
        there = [row[place] for row in rows if row[place] is not None]
        made[place] = _at_most(_sum(there), now[place])
    return tuple(made)


def _sum(values: list[Value]) -> Value:
    if values and isinstance(values[0], tuple):
        total = values[0]
        for value in values[1:]:
            assert isinstance(value, tuple)
            total = tuple(map(add, total, value))
        return total
    return sum([v for v in values if isinstance(v, int | float)])


def _at_most(value: Value, most: Value) -> Value:
    if isinstance(value, tuple) and isinstance(most, tuple):
        return tuple(map(min, value, most))
    if isinstance(value, int | float) and isinstance(most, int | float):
        return min(value, most)
    return most
