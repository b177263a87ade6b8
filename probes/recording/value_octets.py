"""Columns whose values are written one by one, since some are unknown: all their bytes at once.

The same bytes as `codec.Writer` makes of the values: a tag for each, and varints behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from probes.arrays import FEW, np
from probes.columns.cells import Cells, CodedCells, NumberCells, TupleCells, objects
from probes.recording.codec import LONGEST, Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Octets = tuple[NDArray[np.uint8], NDArray[np.bool_]]
    """Bytes along the second axis, and which of them are written."""

_AT_ONCE = 1024
"""Rows whose bytes are made together, so that what it takes for a moment is little."""


def can_write(cells: Cells) -> bool:
    """Return whether `octets_of_values` takes such cells."""
    raw = cells.raw
    if len(cells) <= FEW:
        return False
    if isinstance(cells, CodedCells):
        return raw.ndim == 1
    if isinstance(cells, NumberCells) and raw.dtype.kind == "f":
        return True
    fits = raw.dtype.kind == "i" or (raw.dtype.kind == "u" and not int(raw.max(initial=0)) >> 63)
    return fits and isinstance(cells, NumberCells | TupleCells) and bool(raw.size)


def octets_of_values(cells: Cells, steps: NDArray[Any] | None) -> bytes:
    """Return the bytes of all values, each behind its step from the one before, if given."""
    if isinstance(cells, CodedCells):
        return _octets_of_texts(cells, steps)
    return b"".join(_octets_of_numbers(cells, steps))


def _octets_of_numbers(cells: Cells, steps: NDArray[Any] | None) -> Iterator[bytes]:
    for begin in range(0, len(cells), _AT_ONCE):
        some = cells.at(np.arange(begin, min(begin + _AT_ONCE, len(cells))))
        parts = [] if steps is None else [_varints(steps[begin : begin + _AT_ONCE].astype("u8"))]
        parts += _reals(some) if some.raw.dtype.kind == "f" else _integers(some)
        octets, written = (np.concatenate(halves, axis=1) for halves in zip(*parts, strict=True))
        yield octets[written].tobytes()


def _integers(cells: Cells) -> list[Octets]:
    known, raw = cells.flags(), cells.raw
    if isinstance(cells, NumberCells):
        return [_tags(known, "i"), _where(known, _varints(_zigzag(raw)))]
    kept = np.ascontiguousarray(raw[:, :LONGEST])
    octets, written = _varints(_zigzag(kept.ravel()))
    rows = len(kept), kept.shape[1] * octets.shape[1]
    length = _varints(np.full(len(kept), kept.shape[1], "u8"))
    numbers = octets.reshape(rows), written.reshape(rows)
    return [_tags(known, "t"), _where(known, length), _where(known, numbers)]


def _reals(cells: Cells) -> list[Octets]:
    known = cells.flags() & np.isfinite(cells.raw)
    octets = np.ascontiguousarray(cells.raw, "<f8").view("u1").reshape(len(cells), 8)
    return [_tags(known, "f"), _where(known, (octets, np.ones(octets.shape, bool)))]


def _tags(known: NDArray[np.bool_], tag: str) -> Octets:
    tags = np.where(known, ord(tag), ord("n")).astype("u1")[:, None]
    return tags, np.ones(tags.shape, bool)


def _where(known: NDArray[np.bool_], octets: Octets) -> Octets:
    return octets[0], octets[1] & known[:, None]


def _zigzag(raw: NDArray[Any]) -> NDArray[np.uint64]:
    """Return integers without a sign, which is the lowest bit: 0, -1, 1, -2."""
    signed = raw.astype("i8")
    return ((signed << 1) ^ (signed >> 63)).view("u8")


def _varints(numbers: NDArray[np.uint64]) -> Octets:
    """Return seven bits a byte, the lowest first; all but the last have the highest bit."""
    width = max(-(-int(numbers.max()).bit_length() // 7), 1)
    shifted = numbers[:, None] >> (np.arange(width, dtype="u8") * np.uint64(7))
    written = shifted > 0
    written[:, 0] = True
    more = (shifted >> np.uint64(7) > 0).astype("u1") << 7
    return (shifted & np.uint64(0x7F)).astype("u1") | more, written


def _octets_of_texts(cells: CodedCells, steps: NDArray[Any] | None) -> bytes:
    """Return the bytes of coded values: each value's are made once."""
    known = cells.flags()
    values, of = np.unique(cells.raw[known], return_inverse=True)
    made = objects([_octets(cells.decode(code)) for code in values.tolist()])
    parts = np.full(len(cells), b"n", object)
    parts[known] = made[of]
    if steps is None:
        return b"".join(parts.tolist())
    distances, of = np.unique(steps, return_inverse=True)
    before = objects([_octets_of_size(distance) for distance in distances.tolist()])[of]
    return b"".join(_alternating(before.tolist(), parts.tolist()))


def _alternating(first: Iterable[bytes], second: Iterable[bytes]) -> Iterator[bytes]:
    return chain.from_iterable(zip(first, second, strict=True))


def _octets(value: Any) -> bytes:
    out = Writer()
    out.value(value)
    return bytes(out.data)


def _octets_of_size(size: int) -> bytes:
    out = Writer()
    out.size(size)
    return bytes(out.data)
