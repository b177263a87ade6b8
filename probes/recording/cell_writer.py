"""Rows that are columns as bytes: the same bytes as `codec.Writer` makes of rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, TupleCells, differ
from probes.columns.row_table import RowTable
from probes.recording.codec import BOUNDS, LONGEST, SAME, TUPLES, Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def order_of(now: RowTable, before: RowTable) -> NDArray[Any]:
    """Return the step from the previous row's place in an earlier table to each one's.

    Places are from 1 on, 0 for a new row: as `encoder` writes them.
    """
    places = now.places_in(before) + 1
    latest = np.maximum.accumulate(np.where(places > 0, np.arange(len(places)), -1))
    last = np.zeros(len(places), places.dtype)
    last[1:] = np.where(latest[:-1] >= 0, places[latest[:-1]], 0)
    return places - last - 1


def write_rows(out: Writer, now: RowTable, before: RowTable | None) -> None:
    """Write the rows that were there before as differences, then the new ones."""
    if before is None or not len(before):
        _write_changes(out, [], [])
        _write_columns(out, now.cells, None)
        return
    at = now.places_in(before)
    kept = at >= 0
    base = [cells.at(at[kept]) for cells in before.cells]
    if kept.all():
        _write_changes(out, now.cells, base)
    else:
        _write_changes(out, [cells.at(kept) for cells in now.cells], base)
        _write_columns(out, [cells.at(~kept) for cells in now.cells], None)


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
    if before is not None and not differ(now, before).any():
        out.data.append(SAME)
    elif not _write_array(out, now, before):
        out.column(now.values(), None if before is None else before.values())


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
