"""Counts of a hook from before it was attached again, so that no total decreases.

The successor is read before and after its predecessor is read for the last time: what both of them
counted side by side is counted once. Rows that nothing counts any more are bounded: `MAX_IDLE_ROWS`
of them, and fewer where there is no memory (`RowLimit`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from operator import add
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.row_table import RowTable
from probes.ladder import carried_columns as columns
from probes.model import Hook, Key, Kind, Row, Value
from probes.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_IDLE_ROWS = 16384
"""Rows without a counter that one attachment keeps: as many as the largest maps have."""


@dataclass(frozen=True, slots=True)
class CarriedTotals:
    """Totals at one moment: rows by key, and what was lost and not logged.

    forgotten: how many rows were discarded for good, as there were too many.
    """

    rows: Mapping[Key, Row] = field(default_factory=dict)
    lost: int = 0
    unlogged: int = 0
    forgotten: int = 0


Combine = Callable[[int, int], int]
Rows = Mapping[Key, Row]
"""Rows by key; many are a `RowTable`."""


def ended(hook: Hook, before: CarriedTotals | None, now: CarriedTotals) -> CarriedTotals:
    """Return the totals of what ends. before: its totals when the successor was opened.

    Opening the successor may empty a map that both share: a lower count was counted since.
    """
    if before is None:
        return now
    kept: Rows = {} if hook.rows_go else before.rows
    rows = _together(hook, kept, _each(hook, now.rows, before.rows, _grown))
    lost, unlogged = _grown(now.lost, before.lost), _grown(now.unlogged, before.unlogged)
    return CarriedTotals(rows, lost, unlogged, now.forgotten)


def base(hook: Hook, past: CarriedTotals, first: CarriedTotals) -> CarriedTotals:
    """Return what is to be added from now on. first: what has been counted again already."""
    rows = _each(hook, past.rows, first.rows, _less)
    kept = _counting(hook, rows)
    lost, unlogged = _less(past.lost, first.lost), _less(past.unlogged, first.unlogged)
    return _bounded(hook, CarriedTotals(kept, lost, unlogged, past.forgotten), first.rows)


def left_out(
    hook: Hook, base: CarriedTotals, now: Collection[Key], kept: Collection[Key]
) -> CarriedTotals:
    """Discard the rows that nothing counts now and for which there is no memory.

    now: what is counted now; kept: what there is memory for. Rows that exist only as long as what
    they are about stay, as it is not known which of them exist.
    """
    if hook.rows_go:
        return base
    if isinstance(base.rows, RowTable):
        return _at(base, ~(_in(base.rows, now) | _in(base.rows, kept)))
    return _without(base, [key for key in base.rows if key not in now and key not in kept])


def _bounded(hook: Hook, base: CarriedTotals, now: Collection[Key]) -> CarriedTotals:
    """Discard the smallest of the rows that nothing counts now, beyond `MAX_IDLE_ROWS`."""
    if hook.rows_go or len(base.rows) <= MAX_IDLE_ROWS:
        return base
    if isinstance(base.rows, RowTable):
        resting = ~_in(base.rows, now)
        most = int(resting.sum()) - MAX_IDLE_ROWS
        least = columns.least(hook, base.rows, resting, most)
        if least is not None:
            thrown = np.zeros(len(resting), bool)
            thrown[least] = True
            return _at(base, thrown)
    idle = {key: row for key, row in base.rows.items() if key not in now}
    return _without(base, _least(hook, idle, len(idle) - MAX_IDLE_ROWS))


def _in(rows: RowTable, some: Collection[Key]) -> NDArray[np.bool_]:
    """Return which rows have these keys."""
    if isinstance(some, RowTable):
        return rows.places_in(some) >= 0
    return np.fromiter([key in some for key in rows], bool, len(rows))


def _at(base: CarriedTotals, thrown: NDArray[np.bool_]) -> CarriedTotals:
    """Return the totals without the rows that have a flag."""
    number = int(thrown.sum())
    if not number:
        return base
    assert isinstance(base.rows, RowTable)
    rows: Rows = base.rows.at(~thrown) if number < len(thrown) else {}
    return replace(base, rows=rows, forgotten=base.forgotten + number)


def _without(base: CarriedTotals, thrown: Collection[Key]) -> CarriedTotals:
    if not thrown:
        return base
    out = frozenset(thrown)
    rows = {key: row for key, row in base.rows.items() if key not in out}
    return replace(base, rows=rows, forgotten=base.forgotten + len(out))


def _least(hook: Hook, rows: Mapping[Key, Row], many: int) -> list[Key]:
    places = [place for place, _ in hook.places.counters]

    def counted(key: Key) -> int:
        return sum([n for place in places if isinstance(n := rows[key][place], int)])

    return heapq.nsmallest(many, rows, counted) if many > 0 else []


def halfway(hook: Hook, some: CarriedTotals, later: CarriedTotals) -> CarriedTotals:
    """Return what had been counted halfway between two readings."""
    rows = _each(hook, later.rows, some.rows, _mean)
    return CarriedTotals(rows, _mean(some.lost, later.lost), _mean(some.unlogged, later.unlogged))


def total(hook: Hook, base: CarriedTotals, now: CarriedTotals) -> CarriedTotals:
    """Return all that was counted.

    Missing rows are kept, unless rows go with what they are about.
    """
    kept: Rows = {} if hook.rows_go else base.rows
    rows = _behind(hook, kept, _each(hook, now.rows, base.rows, add))
    return CarriedTotals(rows, now.lost + base.lost, now.unlogged + base.unlogged, base.forgotten)


def _grown(now: int, before: int) -> int:
    return now if now >= before else now + before


def _mean(some: int, other: int) -> int:
    return (some + other) // 2


def _less(now: int, before: int) -> int:
    return max(0, now - before)


_ARRAYS: Mapping[Combine, Callable[..., Any]] = {
    add: add,
    _grown: lambda now, before: np.where(now >= before, now, now + before),
    _mean: _mean,
    _less: lambda now, before: np.maximum(now - before, 0),
}
"""The same of arrays."""


def _together(hook: Hook, first: Rows, then: Rows) -> Rows:
    """Return all rows; of those that both have the latter, in the place of the former."""
    if isinstance(first, RowTable) and isinstance(then, RowTable):
        return columns.both(first, then, hook)
    return {**first, **then} if first and then else first or then


def _behind(hook: Hook, first: Rows, then: Rows) -> Rows:
    """Return the rows that only the former have, and then the latter."""
    if not first or not then:
        return first or then
    if isinstance(first, RowTable) and isinstance(then, RowTable):
        return columns.after(first, then, hook)
    return {**{key: row for key, row in first.items() if key not in then}, **then}


def _counting(hook: Hook, rows: Rows) -> Rows:
    """Return the rows that have counted anything, at rest."""
    if isinstance(rows, RowTable):
        made = columns.counting(hook, rows, _levels(hook))
        if made is not None:
            return made if len(made) else {}
    return {key: _at_rest(hook, row) for key, row in rows.items() if _counts(hook, row)}


def _each(hook: Hook, some: Rows, others: Rows, combine: Combine) -> Rows:
    """Return the rows of `some`; what adds up is combined with that of the others."""
    if not others:
        return some
    if isinstance(some, RowTable) and isinstance(others, RowTable):
        made = columns.combined(hook, some, others, combine, _ARRAYS[combine])
        if made is not None:
            return made
    return {
        key: _combined(hook, row, others[key], combine) if key in others else row
        for key, row in some.items()
    }


def _combined(hook: Hook, row: Row, other: Row, combine: Combine) -> Row:
    made = list(row)
    for place, _, _ in hook.places.sums:
        made[place] = _both(row[place], other[place], combine)
    return tuple(made)


def _both(value: Value, other: Value, combine: Combine) -> Value:
    """Combine two values; where one is not known and values add up, the other is the result."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        return tuple(map(combine, value, other))
    if isinstance(value, int) and isinstance(other, int):
        return combine(value, other)
    return other if value is None and combine is add else value


def _counts(hook: Hook, row: Row) -> bool:
    return any(
        any(value) if isinstance(value, tuple) else value
        for value in (row[place] for place, _, _ in hook.places.sums)
    )


def _at_rest(hook: Hook, row: Row) -> Row:
    """Return a row that nothing counts now: levels in it are not known."""
    levels = _levels(hook)
    return tuple([None if level else value for level, value in zip(levels, row, strict=True)])


def _levels(hook: Hook) -> list[bool]:
    return [c.kind is Kind.LEVEL and c.unit not in (Unit.TEXT, Unit.NUMBER) for c in hook.stored]
