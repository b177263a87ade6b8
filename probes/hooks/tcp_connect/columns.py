"""Many destinations as columns: what has failed, and what is under way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells, NumberCells, cells_of, joined
from probes.columns.numbered import shared_texts
from probes.columns.row_table import ColumnRows
from probes.hooks.tcp_connect.waiting import Waiting, Who
from probes.model import Column, Entries, Kind, Row, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

EmptyRows = Callable[[Sequence[Who]], "ColumnRows | None"]
"""Makes rows of attempts of which nothing is counted; None: it cannot."""
_BUCKETS = 40
"""Buckets of the histogram of times, as in C."""
_MAX_SUM = 1 << 60
"""Largest counter; the sum of several larger ones may need more than 63 bits."""


def completed(
    made: ColumnRows,
    columns: Sequence[Column],
    failures: Sequence[str],
    waiting: Waiting,
    alike: EmptyRows = lambda _: None,
) -> ColumnRows | None:
    """Return the rows that have any number, with `failed` and what is under way.

    None: the numbers are too odd. columns: of the rows. failures: those that `failed` sums up.
    alike: makes empty rows as those were made; None: it cannot.
    """
    place_of = _places(made, waiting)
    missing = [who for who in waiting if who not in place_of]
    if missing:
        place_of.update({who: len(made) + n for n, who in enumerate(missing)})
        more = alike(missing)
        made = _joined(made, more) if more else _followed(made, map(empty_row(columns), missing))
    cells = dict(zip([column.name for column in columns], made.cells, strict=True))
    wanted = {name: _numbers(cells[name]) for name in (*failures, "connects", "established")}
    numbers = {name: array for name, array in wanted.items() if array is not None}
    if len(numbers) < len(wanted):
        return None
    failed = np.zeros(len(made), "i8")
    for name in failures:
        failed += numbers[name]
    pending, late, oldest = (np.zeros(len(made), "i8") for _ in range(3))
    ways = {"": 0}
    via = np.zeros(len(made), "i8")
    for who, place in place_of.items():
        pending[place], late[place], oldest[place], way = waiting[who]
        via[place] = ways.setdefault(way, len(ways))
    cells["failed"], cells["pending"], cells["late"] = map(NumberCells, (failed, pending, late))
    cells["oldest_ns"] = NumberCells(oldest, pending != 0)
    cells["via"] = shared_texts().cells([way or None for way in ways], via)
    any = (numbers["connects"] != 0) | (numbers["established"] != 0) | (failed != 0)
    return ColumnRows([c.at(any | (pending != 0)) for c in cells.values()])


def empty_row(columns: Sequence[Column]) -> Callable[[Who], Row]:
    """Return a function that makes the row of attempts of which nothing is counted."""
    zero: dict[Kind, Value] = {Kind.COUNTER: 0}
    buckets = next((c.name for c in columns if c.kind is Kind.HISTOGRAM), "")
    rest = tuple([(0,) * _BUCKETS if c.name == buckets else zero.get(c.kind) for c in columns[4:]])
    return lambda who: (*who, *rest)


def empty_rows(
    entries: Entries,
    fields: Mapping[str, int | slice],
    cells: Callable[[Entries], Sequence[Cells]],
    callers: Sequence[Who],
) -> ColumnRows | None:
    """Return rows of attempts of which nothing is counted, made as those of entries of the map.

    So their texts are decoded only when somebody asks, like the others'. None where an address has
    a link, whose number is not in its text. fields: of the map.
    """
    if any("%" in str(raddr) for _, _, raddr, _ in callers):
        return None
    empty = [b"" if isinstance(v, bytes) else 0 for v in entries.where(np.arange(1)).rows()[0]]
    made = []
    for pid, comm, raddr, rport in callers:
        flat: list[Value | bytes] = [*empty]
        known = {"pid": pid or 0, "comm": os.fsencode(str(comm)), "raddr": octets(str(raddr))}
        for name, value in {**known, "rport": rport}.items():
            flat[fields[name]] = value  # type: ignore[index]
        made.append(tuple(flat))
    all = entries.where(np.arange(0)).followed_by(made)
    if all is None:
        return None
    columns = list(cells(all))
    nobody = np.array([pid is None for pid, *_ in callers])
    if nobody.any() and isinstance(columns[0], NumberCells):
        columns[0] = NumberCells(columns[0].raw, ~nobody)
    return ColumnRows(columns)


def octets(address: str) -> bytes:
    """Return an address as the maps have it: IPv4 as ::ffff:a.b.c.d."""
    one = ip_address(address)
    return one.packed if isinstance(one, IPv6Address) else b"\0" * 10 + b"\xff\xff" + one.packed


def _joined(made: ColumnRows, more: ColumnRows) -> ColumnRows:
    pairs = zip(made.cells, more.cells, strict=True)
    return ColumnRows([joined(cells, _as_wide(those, cells)) for cells, those in pairs])


def _as_wide(cells: Cells, like: Cells) -> Cells:
    """Return addresses with room for a link, which they have not, if others have one."""
    if not (isinstance(cells, CodedCells) and isinstance(like, CodedCells)):
        return cells
    if cells.raw.ndim != 2 or like.raw.ndim != 2 or cells.raw.shape[1] >= like.raw.shape[1]:
        return cells
    more = like.raw.shape[1] - cells.raw.shape[1]
    return CodedCells(np.pad(cells.raw, ((0, 0), (0, more))), like.decode)


def _followed(made: ColumnRows, more: Iterable[Row]) -> ColumnRows:
    columns = zip(made.cells, zip(*more, strict=True), strict=True)
    return ColumnRows([joined(cells, cells_of(values)) for cells, values in columns])


def _numbers(cells: object) -> NDArray[np.int64] | None:
    """Return counters, 0 where one is not known; None if they are none, or very large."""
    if not isinstance(cells, NumberCells) or cells.raw.dtype.kind not in "iu":
        return None
    if len(cells) and (int(cells.raw.max()) >= _MAX_SUM or int(cells.raw.min()) <= -_MAX_SUM):
        return None
    found = cells.raw.astype("i8")
    return found if cells.known is None else np.where(cells.known, found, 0)


def _places(made: ColumnRows, waiting: Waiting) -> dict[Who, int]:
    """Return in which row the attempts under way are."""
    if not waiting:
        return {}
    keys = made.cells[: len(next(iter(waiting)))]
    pids = keys[0].raw if isinstance(keys[0], NumberCells) else None
    near: Sequence[int] = range(len(made))
    if pids is not None:
        callers = np.array([pid for pid, *_ in waiting if isinstance(pid, int)], "i8")
        wanted = np.isin(pids, callers) | ~keys[0].flags()
        near = np.flatnonzero(wanted).tolist()
    found = {tuple([cells.value(place) for cells in keys]): place for place in near}
    return {who: found[who] for who in waiting if who in found}
