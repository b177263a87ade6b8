"""Rows that are columns as bytes: the same bytes as `codec.Writer` makes of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells, NumberCells, TupleCells, differ, joined
from probes.columns.row_table import RowTable
from probes.recording.codec import ALL, BOUNDS, CHANGED, LONGEST, SAME, TUPLES, Writer
from probes.recording.value_octets import can_write, octets_of_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Columns = Sequence[Cells]


def order_of(now: RowTable, before: RowTable) -> NDArray[Any]:
    """Return the step from the previous row's place in an earlier table to each one's.

    Places are from 1 on, 0 for a new row: as `encoder` writes them.
    """
    places = now.places_in(before) + 1
    latest = np.maximum.accumulate(np.where(places > 0, np.arange(len(places)), -1))
    last = np.zeros(len(places), places.dtype)
    last[1:] = np.where(latest[:-1] >= 0, places[latest[:-1]], 0)
    return places - last - 1


def write_rows(out: Writer, pairs: Iterable[tuple[RowTable, RowTable | None]]) -> None:
    """Write the rows that were there before as differences, then the new ones.

    pairs: rows of one hook, of one target each, and that target's before.
    """
    kept: _Columns = []
    base: _Columns = []
    new: _Columns = []
    for now, before in pairs:
        if before is None or not len(before):
            new = _followed_by(new, now.cells)
            continue
        at = now.places_in(before)
        there = at >= 0
        base = _followed_by(base, [cells.at(at[there]) for cells in before.cells])
        if there.all():
            kept = _followed_by(kept, now.cells)
        else:
            kept = _followed_by(kept, [cells.at(there) for cells in now.cells])
            new = _followed_by(new, [cells.at(~there) for cells in now.cells])
    _write_changes(out, kept, base)
    _write_columns(out, new, None)


def _followed_by(columns: _Columns, more: _Columns) -> _Columns:
    if not columns or not len(columns[0]):
        return more
    return list(map(joined, columns, more)) if len(more[0]) else columns


def _write_changes(out: Writer, now: Sequence[Cells], base: Sequence[Cells]) -> None:
    number = len(now[0]) if now else 0
    changed = np.zeros(number, bool)
    for cells, before in zip(now, base, strict=True):
        changed |= differ(cells, before)
    places = np.flatnonzero(changed)
    out.size(len(places))
    if 0 < len(places) < number:
        write_cells(out, NumberCells(np.diff(places, prepend=-1)), None)
        now, base = [c.at(places) for c in now], [c.at(places) for c in base]
    if len(places):
        _write_columns(out, now, base)


def _write_columns(out: Writer, now: Sequence[Cells], base: Sequence[Cells] | None) -> None:
    befores = repeat(None) if base is None else base
    for cells, before in zip(now, befores, strict=False):
        if len(cells):
            write_cells(out, cells, before)


def write_cells(out: Writer, now: Cells, before: Cells | None) -> None:
    """Write a column of at least one value."""
    changed = None if before is None else differ(now, before)
    if changed is not None and not changed.any():
        out.data.append(SAME)
    elif not (_write_array(out, now, before) or _write_one_by_one(out, now, before, changed)):
        out.column(now.values(), None if before is None else before.values())


def _write_one_by_one(
    out: Writer, now: Cells, before: Cells | None, changed: NDArray[np.bool_] | None
) -> bool:
    """Write values with a tag each, as it is done where there is no array; return the same."""
    unknown = now.known is not None or (before is not None and before.known is not None)
    if not can_write(now) or not (unknown or _is_single(now, changed)):
        return False
    if changed is None:
        out.data.append(ALL)
        out.data += octets_of_values(now, None)
        return True
    places = np.flatnonzero(changed)
    out.data.append(CHANGED)
    out.size(len(places))
    some = now.at(places)
    steps = np.diff(places, prepend=0)
    if can_write(some):
        out.data += octets_of_values(some, steps)
        return True
    for step, value in zip(steps.tolist(), some.values(), strict=True):
        out.size(step)
        out.value(value)
    return True


def _is_single(cells: Cells, changed: NDArray[np.bool_] | None) -> bool:
    """Return whether such values, all of which are known, are never written as an array."""
    if isinstance(cells, CodedCells) and changed is not None:
        return isinstance(cells.value(int(changed.argmax())), str)
    return cells.raw.dtype.kind == "f"


def _write_array(out: Writer, now: Cells, before: Cells | None) -> bool:
    """Write numbers or tuples of them; return whether it could be done."""
    if now.known is not None or (before is not None and before.known is not None):
        return False
    if isinstance(now, NumberCells) and (before is None or isinstance(before, NumberCells)):
        return _write_integers(out, now.raw, None if before is None else before.raw)
    if not isinstance(now, TupleCells) or not 0 < now.raw.shape[1] <= LONGEST:
        return False
    if before is not None and before.raw.shape[1:] != now.raw.shape[1:]:
        return False
    if not isinstance(before, TupleCells | None):
        return False
    out.data.append(TUPLES)
    out.size(now.raw.shape[1])
    for n in range(now.raw.shape[1]):
        was = None if before is None else NumberCells(before.raw[:, n])
        write_cells(out, NumberCells(now.raw[:, n]), was)
    return True


def _write_integers(out: Writer, now: NDArray[Any], before: NDArray[Any] | None) -> bool:
    steps = now if before is None else _difference(now, before)
    if steps is None or steps.dtype.kind not in "iu":
        return False
    low, high = int(steps.min()), int(steps.max())
    for tag, _, bound in BOUNDS:
        if -bound <= low and high < bound:
            size = bound.bit_length() // 8
            planes = steps.astype(f"<i{size}").view("u1").reshape(len(steps), size).T
            out.data.append(tag)
            out.data += planes.tobytes()
            return True
    return False


def _difference(now: NDArray[Any], before: NDArray[Any]) -> NDArray[Any] | None:
    """Return by how much integers grew, exactly; None if that needs more than 64 bits."""
    if now.dtype.kind not in "iu" or before.dtype.kind not in "iu":
        return None
    for array in (now, before):
        if array.dtype.kind == "u" and array.itemsize == 8 and int(array.max()) >> 62:
            return None
        if array.dtype.kind == "i" and (int(array.min()) < -1 << 62 or int(array.max()) >> 62):
            return None
    grown: NDArray[Any] = now.astype("i8") - before.astype("i8")
    return grown
