"""Many rows as columns from the bytes that `cell_writer` or `codec.Writer` made of them.

The same values as `codec.Reader.rows` reads, and as untrusted: no row is made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import (
    Cells,
    NumberCells,
    ObjectCells,
    TupleCells,
    cells_of,
    objects,
    replaced,
)
from probes.recording.codec import (
    CHANGED,
    CODES,
    LEAST_SMALL,
    LONGEST,
    MOST_SMALL,
    NUMBER,
    SAME,
    SMALL,
    TEXTS,
    TUPLE,
    TUPLES,
    Malformed,
    Reader,
)
from probes.recording.codec import cells_of as cells_of_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OUT_OF_BOUNDS = "a row is out of bounds"
_HALF = 1 << 62


def read_rows(
    data: Reader, number: int, width: int, base: Sequence[Cells] | None
) -> Sequence[Cells]:
    """Read so many rows of that width, column by column; base: as many, or None."""
    if base is None:
        return _columns(data, number, width, None)
    changed = data.size(number)
    if not changed:
        return base
    data.take(changed * width)
    if changed == number:
        return _columns(data, number, width, base)
    places = _places(data, changed, number)
    befores = [cells.at(places) for cells in base]
    fresh = _columns(data, changed, width, befores)
    return [
        cells if now is before else replaced(cells, places, now)
        for cells, before, now in zip(base, befores, fresh, strict=True)
    ]


def read_order(data: Reader, number: int, there: int) -> NDArray[Any]:
    """Read each row's place before, from 1 on; 0: it is new (`encoder` writes them)."""
    steps = _integers_of(data, number) + 1
    if (np.abs(steps) > there).any():
        raise Malformed(_OUT_OF_BOUNDS)
    odd = np.flatnonzero(steps <= 0)  # a new row, or one that was further up
    places, last, done = np.cumsum(steps), 0, 0
    starts = np.flatnonzero(np.diff(odd, prepend=-2) != 1).tolist()
    for begin, end in pairwise([*starts, len(odd)]):
        first = int(odd[begin])
        last = _go_on(places, steps, done, first, last)
        done = first + end - begin
        last = _back(places, steps[first:done], first, last)
    _go_on(places, steps, done, number, last)
    if places.min(initial=0) < 0 or places.max(initial=0) > there:
        raise Malformed(_OUT_OF_BOUNDS)
    return places


def _go_on(places: NDArray[Any], steps: NDArray[Any], begin: int, end: int, last: int) -> int:
    """Fill in places that follow one another, and return the last."""
    if begin == end:
        return last
    np.cumsum(steps[begin:end], out=places[begin:end])
    places[begin:end] += last
    return int(places[end - 1])


def _back(places: NDArray[Any], steps: NDArray[Any], begin: int, last: int) -> int:
    """Fill in places that do not, and return the last that is one."""
    if (steps == -last).all():
        places[begin : begin + len(steps)] = 0
        return last
    for n, step in enumerate(steps.tolist(), begin):
        place = last + step
        if place < 0:
            raise Malformed(_OUT_OF_BOUNDS)
        places[n], last = place, place or last
    return last


def _places(data: Reader, changed: int, number: int) -> NDArray[Any]:
    steps = _integers_of(data, changed)
    if (np.abs(steps) > number).any():
        raise Malformed(_OUT_OF_BOUNDS)
    places: NDArray[Any] = np.cumsum(steps) - 1
    if places.min() < 0 or places.max() >= number:
        raise Malformed(_OUT_OF_BOUNDS)
    return places


def _integers_of(data: Reader, number: int) -> NDArray[Any]:
    cells = _column(data, number, None)
    if not _are_integers(cells):
        raise Malformed("a column is of the wrong kind")
    if cells.raw.dtype.kind == "u":
        raise Malformed(_OUT_OF_BOUNDS)
    return cells.raw.clip(-_HALF, _HALF)


def _columns(
    data: Reader, number: int, width: int, base: Sequence[Cells] | None
) -> Sequence[Cells]:
    if not number:
        return [cells_of([])] * width
    befores = repeat(None, width) if base is None else base
    return [_column(data, number, before) for before in befores]


def _column(data: Reader, number: int, before: Cells | None) -> Cells:
    tag = data.next_octet()
    if tag == SAME and before is not None:
        data.take(number)
        data.octet()
        return before
    if tag in CODES and (before is None or _may_be_added_to(before)):
        return _integers(data, number, before)
    if tag == TEXTS and before is None:
        return ObjectCells(objects(data.column(number, None)))
    if tag == TUPLES and (before is None or _has_tuples(before)):
        return _tuples(data, number, before)
    if tag == CHANGED and before is not None:
        return _changed(data, number, before)
    return cells_of(data.column(number, None if before is None else before.values()))


def _integers(data: Reader, number: int, before: Cells | None) -> Cells:
    data.take(number)
    code = CODES[data.octet()]
    size = 1 << "bhiq".index(code)
    octets = np.frombuffer(data.octets(number * size), "u1").reshape(size, number)
    steps = np.ascontiguousarray(octets.T).view(f"<i{size}")[:, 0].astype("i8")
    if before is not None or code != SMALL or steps.min() < LEAST_SMALL:
        data.take(NUMBER * number)
    if before is None:
        return NumberCells(steps)
    if _is_half(steps):
        return NumberCells(before.raw.astype("i8") + steps)
    pairs = zip(before.values(), steps.tolist(), strict=True)
    return cells_of([was + step for was, step in pairs])


def _tuples(data: Reader, number: int, before: Cells | None) -> Cells:
    data.take(number)
    data.octet()
    length = data.size(LONGEST)
    if not length:
        raise Malformed("a column is of an unknown kind")
    data.take(TUPLE * number)
    if before is not None and before.raw.shape[1] != length:
        raise Malformed("a column has the wrong length")
    befores = [None] * length if before is None else [NumberCells(c) for c in before.raw.T]
    columns = [_column(data, number, was) for was in befores]
    if all(map(_are_integers, columns)) and min(int(c.raw.min()) for c in columns) >= 0:
        raws = [c.raw.astype("u8", copy=False) for c in columns]
        return TupleCells.narrow(np.stack(raws, axis=1))
    values = [cells.values() for cells in columns]
    if any(set(map(type, column)) != {int} for column in values):
        raise Malformed("a column is of the wrong kind")
    return cells_of(list(zip(*values, strict=True)))


def _changed(data: Reader, number: int, before: Cells) -> Cells:
    places, values = data.changes(number)
    if not places:
        return before
    return replaced(before, np.array(places, np.intp), cells_of(values))


def _are_integers(cells: Cells) -> bool:
    return isinstance(cells, NumberCells) and cells.known is None and cells.raw.dtype.kind in "iu"


def _may_be_added_to(cells: Cells) -> bool:
    return _are_integers(cells) and _is_half(cells.raw)


def _is_half(raw: NDArray[Any]) -> bool:
    """Return whether sums of two such numbers have 64 bits."""
    if raw.itemsize < 8 or not raw.size:
        return True
    return int(raw.min()) >= -_HALF and int(raw.max()) < _HALF


def _has_tuples(cells: Cells) -> bool:
    return isinstance(cells, TupleCells) and cells.known is None


def weight(cells: Cells) -> int:
    """Return what its values cost, as `codec.cells_of` counts them."""
    raw = cells.raw
    if not isinstance(cells, NumberCells | TupleCells):
        return sum(map(cells_of_value, cells.values()))
    dear = np.ones(raw.shape, bool)
    if raw.dtype.kind in "iu":
        dear = (raw > MOST_SMALL) | ((raw < LEAST_SMALL) if raw.dtype.kind == "i" else False)
    if cells.known is not None:
        dear = dear & (cells.known if raw.ndim == 1 else cells.known[:, None])
    all = raw.size + NUMBER * int(np.count_nonzero(dear))
    return all + TUPLE * len(raw) if isinstance(cells, TupleCells) else all
