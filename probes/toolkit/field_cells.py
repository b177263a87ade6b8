"""Fields of many entries of a map as cells: what `readers.row_of` is for one entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import sub
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import (
    Cells,
    NumberCells,
    ObjectCells,
    TupleCells,
    cells_of,
    nothing,
    octets_of,
)
from probes.errors import ProbeError
from probes.model import Column, Fields, Value
from probes.toolkit.decode import lazily
from probes.units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray


Maker = Callable[[Fields], Cells]
"""Makes the cells of one column from many entries."""


def cells_from(
    columns: Iterable[Column], given: Mapping[str, Maker] | None = None
) -> Callable[[Fields], list[Cells]]:
    """Return a function from many entries of a map to the cells of each stored column.

    given: what makes the columns of these names, instead of their field.
    """
    known = given or {}
    makers = [known.get(c.name) or _maker(c) for c in columns]
    return lambda entries: [make(entries) for make in makers]


def _maker(column: Column) -> Maker:
    field = column.field
    if field is None:
        return lambda entries: nothing(len(entries))
    if column.decode is None:
        return lambda entries: _plain(entries[field])
    decode, decoded = column.decode, decoder(column)

    def make(entries: Fields) -> Cells:
        raw = entries[field]
        later = lazily(decode, raw)
        if later is not None:
            return later
        if raw.ndim > 1:
            return cells_of(list(map(decoded, _flat(raw))))
        return by_value(raw, decoded)

    return make


def by_value(raw: NDArray[Any], decode: Callable[[Any], Value]) -> Cells:
    """Return what a function makes of integers, called once for each that there is."""
    distinct, places = np.unique(raw, return_inverse=True)
    return cells_of(list(map(decode, distinct.tolist()))).at(places.reshape(-1))


def difference(more: NDArray[Any], less: NDArray[Any]) -> Cells:
    """Return the difference of two fields, which may be negative, exactly."""
    if len(more) and max(int(more.max()), int(less.max())) >> 63:
        return cells_of(list(map(sub, more.tolist(), less.tolist())))
    return NumberCells(more.astype("i8") - less.astype("i8"))


def _plain(raw: NDArray[Any]) -> Cells:
    if raw.ndim == 1 and raw.dtype.kind != "b":
        return NumberCells(raw)
    buckets = raw.ndim > 1 and raw.dtype.kind == "u" and raw.itemsize > 1
    return TupleCells.narrow(raw) if buckets else ObjectCells.of(_flat(raw))


def _flat(raw: NDArray[Any]) -> list[Any]:
    """Return a field of all entries as rows have it: integers, bytes, tuples of integers."""
    if raw.ndim == 1:
        return list(raw.tolist())
    return octets_of(raw) if raw.itemsize == 1 else list(map(tuple, raw.tolist()))


def decoder(column: Column) -> Callable[[Any], Any]:
    """Return a column's decoder that has a substitute for what it cannot decode."""
    decode = column.decode
    assert decode is not None

    def decoded(raw: Any) -> Any:
        try:
            return decode(raw)
        except (ProbeError, OSError, MemoryError):
            raise  # not of the value: what it asked for is not available at the moment
        except Exception:  # one odd value does not cost the other columns, nor the other rows
            return _odd(column, raw)

    return decoded


def _odd(column: Column, raw: Any) -> Value:
    """Return a substitute for a value that cannot be decoded."""
    if column.unit is not Unit.TEXT:
        return None
    return f"?{raw.hex() if isinstance(raw, bytes) else raw}"
