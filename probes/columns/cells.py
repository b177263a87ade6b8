"""Columns of many rows as arrays; a Python value is made for a cell that somebody asks for.

    NumberCells    int or float, or None
    TupleCells     a histogram's buckets
    CodedCells     what a decoder makes a text of, when it is asked for
    ObjectCells    anything else: texts, and whatever 64 bits do not hold

All are of one reading and never change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from operator import ne
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.arrays import np
from probes.model import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORD = 8
_UNSIGNED_END = 2**64


class Reals(NamedTuple):
    """A float for each row. known: where there is one."""

    values: NDArray[np.float64]
    known: NDArray[np.bool_]

    def listed(self) -> list[float | None]:
        """Return all, None where one is not known."""
        made: list[float | None] = self.values.tolist()
        for place in np.flatnonzero(~self.known).tolist():
            made[place] = None
        return made


class Cells(ABC):
    """The values of one column. known: which of them are not None; None: all."""

    __slots__ = ("known", "raw")

    def __init__(self, raw: NDArray[Any], known: NDArray[np.bool_] | None = None) -> None:
        self.raw = raw
        self.known = None if known is None or known.all() else known

    def __len__(self) -> int:
        return len(self.raw)

    def value(self, place: int) -> Value:
        """Return one value."""
        if self.known is not None and not self.known[place]:
            return None
        return self._one(place)

    def values(self) -> list[Value]:
        """Return all values."""
        made = self._all()
        if self.known is not None:
            for place in np.flatnonzero(~self.known).tolist():
                made[place] = None
        return made

    def flags(self) -> NDArray[np.bool_]:
        """Return which values are known."""
        return np.ones(len(self), bool) if self.known is None else self.known

    def at(self, places: NDArray[Any]) -> Cells:
        """Return those at these places, or those that have a flag."""
        known = None if self.known is None else self.known[places]
        return self.with_raw(self.raw[places], known)

    @abstractmethod
    def _one(self, place: int) -> Value: ...

    @abstractmethod
    def _all(self) -> list[Value]: ...

    @abstractmethod
    def with_raw(self, raw: NDArray[Any], known: NDArray[np.bool_] | None) -> Cells:
        """Return cells of the same kind on another array."""

    def times(self, factor: int) -> Cells:
        """Return integers, and tuples of them, multiplied."""
        if factor == 1:
            return self
        if isinstance(self, NumberCells | TupleCells) and self.raw.dtype.kind in "iu":
            highest = max(-int(self.raw.min()), int(self.raw.max())) if self.raw.size else 0
            if highest * factor < _UNSIGNED_END >> 1:
                made = self.with_raw(self.raw.astype("i8") * factor, self.known)
                return (
                    TupleCells.narrow(made.raw, self.known)
                    if isinstance(made, TupleCells)
                    else made
                )
        return cells_of([_times(value, factor) for value in self.values()])

    @property
    @abstractmethod
    def space(self) -> Hashable:
        """What cells have in common whose `words` are equal exactly if their values are.

        None: there are no words.
        """

    def words(self) -> NDArray[np.uint64]:
        """Return a few 64-bit words for each value, along the second axis."""
        words = self._words()
        if self.known is None:
            return words
        return np.column_stack((np.where(self.known[:, None], words, 0), self.known.astype("u8")))

    def flagged_words(self) -> tuple[Hashable, NDArray[np.uint64]]:
        """Return a space and words to be compared with cells of which others are unknown."""
        space = self.space
        if not isinstance(space, tuple):  # Python's own values: None is one of them
            return (space if self.known is None else None), self.words()
        flags = self.flags()
        words = np.where(flags[:, None], self._words(), 0)
        return space[:-1], np.column_stack((words, flags.astype("u8")))

    def _words(self) -> NDArray[np.uint64]:
        raise TypeError(f"{type(self).__name__} have no words")


class NumberCells(Cells):
    """Integers of at most 64 bits, or floats."""

    def _one(self, place: int) -> Value:
        found: Value = self.raw[place].item()
        return found

    def _all(self) -> list[Value]:
        found: list[Value] = self.raw.tolist()
        return found

    def with_raw(self, raw: NDArray[Any], known: NDArray[np.bool_] | None) -> NumberCells:
        return NumberCells(raw, known)

    @property
    def space(self) -> Hashable:
        kind = self.raw.dtype.kind
        if kind == "i" and (not len(self.raw) or self.raw.min() >= 0):
            kind = "u"
        return (kind, self.known is None) if kind in "iu" else None

    def _words(self) -> NDArray[np.uint64]:
        return self.raw.astype("i8" if self.raw.dtype.kind == "i" else "u8").view("u8")[:, None]


class TupleCells(Cells):
    """TupleCells of integers, all of one length, which is the second axis."""

    def _one(self, place: int) -> Value:
        return tuple(self.raw[place].tolist())

    def _all(self) -> list[Value]:
        return list(map(tuple, self.raw.tolist()))

    def with_raw(self, raw: NDArray[Any], known: NDArray[np.bool_] | None) -> TupleCells:
        return TupleCells(raw, known)

    @property
    def space(self) -> Hashable:
        return None

    @classmethod
    def narrow(cls, raw: NDArray[Any], known: NDArray[np.bool_] | None = None) -> TupleCells:
        """Return them in as few bytes as hold the greatest: most buckets are small."""
        most = int(raw.max()) if raw.size else 0
        kind = next(
            k for k, bits in (("u1", 8), ("u2", 16), ("u4", 32), ("u8", 64)) if not most >> bits
        )
        return cls(raw.astype(kind), known)


class CodedCells(Cells):
    """Integers, or bytes along the second axis, and the function that makes values of them.

    decode: its result depends on nothing else, and is another for another argument.
    """

    __slots__ = ("decode",)

    def __init__(
        self,
        raw: NDArray[Any],
        decode: Callable[[Any], Value],
        known: NDArray[np.bool_] | None = None,
    ) -> None:
        super().__init__(raw, known)
        self.decode = decode

    def _one(self, place: int) -> Value:
        raw = self.raw[place]
        return self.decode(raw.tobytes() if raw.ndim else raw.item())

    def _all(self) -> list[Value]:
        return list(
            map(self.decode, octets_of(self.raw) if self.raw.ndim > 1 else self.raw.tolist())
        )

    def with_raw(self, raw: NDArray[Any], known: NDArray[np.bool_] | None) -> CodedCells:
        return CodedCells(raw, self.decode, known)

    @property
    def space(self) -> Hashable:
        return self.decode, self.raw.shape[1:], self.raw.dtype.kind, self.known is None

    def _words(self) -> NDArray[np.uint64]:
        if self.raw.ndim == 1:
            return self.raw.astype("i8" if self.raw.dtype.kind == "i" else "u8").view("u8")[:, None]
        number, width = self.raw.shape
        padded = np.zeros((number, -(-width // _WORD) * _WORD), "u1")
        padded[:, :width] = self.raw
        return padded.view("=u8")


class ObjectCells(Cells):
    """Python's own values."""

    def _one(self, place: int) -> Value:
        found: Value = self.raw[place]
        return found

    def _all(self) -> list[Value]:
        return list(self.raw)

    def with_raw(self, raw: NDArray[Any], known: NDArray[np.bool_] | None) -> ObjectCells:
        return ObjectCells(raw, known)

    @property
    def space(self) -> Hashable:
        texts = set(map(type, self.raw.tolist())) <= {str, type(None)}
        return "texts" if texts else None

    def _words(self) -> NDArray[np.uint64]:
        """Return the hashes of texts, which differ: two in 2**64 are alike."""
        hashes = np.fromiter(map(hash, self.raw.tolist()), "i8", len(self))
        return hashes.view("u8")[:, None]

    @classmethod
    def of(cls, values: Sequence[object]) -> ObjectCells:
        return cls(objects(values))


def objects(values: Sequence[object]) -> NDArray[Any]:
    """Return an array of Python's own values."""
    raw = np.empty(len(values), object)
    if tuple in set(map(type, values)):
        for place, value in enumerate(values):  # numpy would make an axis of tuples
            raw[place] = value
    else:
        raw[:] = values
    return raw


def _times(value: Value, factor: int) -> Value:
    if isinstance(value, tuple):
        return tuple([number * factor for number in value])
    return value * factor if isinstance(value, int) else value


def nothing(number: int) -> Cells:
    """Return so many cells of which none is known."""
    return NumberCells(np.zeros(number, "i8"), np.zeros(number, bool))


def joined(first: Cells, then: Cells) -> Cells:
    """Return the cells of both, one after the other."""
    both = _alike(first, then)
    if both is None:
        return cells_of([*first.values(), *then.values()])
    like = first if len(first) and not _all_unknown(first) else then
    known = None
    if first.known is not None or then.known is not None:
        known = np.concatenate([first.flags(), then.flags()])
    return like.with_raw(np.concatenate(both), known)


def replaced(cells: Cells, places: NDArray[Any], fresh: Cells) -> Cells:
    """Return cells with others at these places."""
    both = _alike(cells, fresh)
    if both is None:
        raw = objects(cells.values())
        raw[places] = objects(fresh.values())
        return cells_of(raw.tolist())
    like = fresh if _all_unknown(cells) else cells
    known = None
    if cells.known is not None or fresh.known is not None:
        known = cells.flags().copy()
        known[places] = fresh.flags()
    raw = both[0].astype(np.promote_types(both[0].dtype, both[1].dtype))
    raw[places] = both[1]
    if isinstance(like, ObjectCells) and known is not None:
        raw[~known], known = None, None
    return like.with_raw(raw, known)


def _alike(first: Cells, then: Cells) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the arrays of cells of one kind; an array of nothing is of any kind."""
    if not len(then) or _all_unknown(then):
        return first.raw, np.zeros((len(then), *first.raw.shape[1:]), first.raw.dtype)
    if not len(first) or _all_unknown(first):
        return np.zeros((len(first), *then.raw.shape[1:]), then.raw.dtype), then.raw
    if type(first) is not type(then) or first.raw.shape[1:] != then.raw.shape[1:]:
        return None
    if (
        isinstance(first, CodedCells)
        and isinstance(then, CodedCells)
        and first.decode != then.decode
    ):
        return None
    return common(first.raw, then.raw)


def common(first: NDArray[Any], then: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return two arrays of numbers in one type that holds them exactly; None: there is none."""
    kinds = first.dtype.kind + then.dtype.kind
    if kinds in ("iu", "ui"):
        unsigned = first if kinds[0] == "u" else then
        if unsigned.size and unsigned.max() >= _UNSIGNED_END >> 1:
            return None
        return first.astype("i8"), then.astype("i8")
    return (first, then) if kinds[0] == kinds[1] else None


def differ(now: Cells, before: Cells) -> NDArray[np.bool_]:
    """Return which values of two columns of one length are not equal."""
    found = _unlike(now, before)
    if found is None:
        values = map(ne, now.values(), before.values())
        return np.fromiter(values, bool, len(now))
    if now.known is not None or before.known is not None:
        ours, theirs = now.flags(), before.flags()
        found = found & ours & theirs | (ours != theirs)
    if isinstance(now, CodedCells) and found.any():  # two codes may mean the same
        places = np.flatnonzero(found)
        found[places] = _differ_in_value(now.at(places), before.at(places))
    return found


def _differ_in_value(now: Cells, before: Cells) -> NDArray[np.bool_]:
    """Return which values are not equal; each pair of codes is decoded once."""
    words = np.column_stack((now.words(), before.words()))
    _, first, of = np.unique(words, axis=0, return_index=True, return_inverse=True)
    unlike = [now.value(place) != before.value(place) for place in first.tolist()]
    found: NDArray[np.bool_] = np.array(unlike, bool)[of.reshape(-1)]
    return found


def _unlike(now: Cells, before: Cells) -> NDArray[np.bool_] | None:
    """Return which raw values are not equal; None if these cannot be compared."""
    if type(now) is not type(before) or now.raw.shape != before.raw.shape:
        return None
    if isinstance(now, CodedCells) and now.decode != getattr(before, "decode", None):
        return None
    if now.raw.dtype.kind == "O":
        return None
    both = common(now.raw, before.raw)
    if both is None:
        return None
    unlike: NDArray[np.bool_] = np.not_equal(*both)
    return unlike if unlike.ndim == 1 else np.any(unlike, axis=1)


def owned(cells: Cells) -> Cells:
    """Return cells that hold no more than their own array: a view holds all that was read."""
    raw = cells.raw
    return cells if raw.base is None else cells.with_raw(raw.copy(), cells.known)


def same_array(now: Cells, before: Cells) -> bool:
    """Return whether two columns have equal arrays, so that either may stand for the other.

    False for Python's own values: equal ones may be of different types.
    """
    if type(now) is not type(before) or now.raw.dtype != before.raw.dtype or now.known is not None:
        return False
    if before.known is not None or now.raw.dtype.kind == "O":
        return False
    if isinstance(now, CodedCells) and now.decode != getattr(before, "decode", None):
        return False
    return np.array_equal(now.raw, before.raw)


def _all_unknown(cells: Cells) -> bool:
    return cells.known is not None and not cells.known.any()


def cells_of(values: Sequence[Value]) -> Cells:
    """Return the cells that have these values."""
    types = set(map(type, values))
    if types == {int}:
        return _integers(values)
    if types == {float}:
        return NumberCells(np.array(values, "f8"))
    if types == {float, type(None)}:
        known = np.array([value is not None for value in values], bool)
        return NumberCells(np.array([value or 0.0 for value in values], "f8"), known)
    if type(None) in types and types <= {int, type(None)}:
        known = np.array([value is not None for value in values], bool)
        made = _integers([value or 0 for value in values])
        return (
            NumberCells(made.raw, known)
            if isinstance(made, NumberCells)
            else ObjectCells.of(values)
        )
    if types == {tuple} and len(set(map(len, values))) == 1:  # type: ignore[arg-type]
        return _buckets(values)
    return ObjectCells.of(values)


def _integers(values: Sequence[Value]) -> Cells:
    low, high = min(values), max(values)  # type: ignore[type-var]
    if low >= -(_UNSIGNED_END >> 1) and high < _UNSIGNED_END >> 1:  # type: ignore[operator]
        return NumberCells(np.array(values, "i8"))
    if low >= 0 and high < _UNSIGNED_END:  # type: ignore[operator]
        return NumberCells(np.array(values, "u8"))
    return ObjectCells.of(values)


def _buckets(values: Sequence[Value]) -> Cells:
    flat: list[Any] = [number for value in values for number in value]  # type: ignore[union-attr]
    if not flat or set(map(type, flat)) != {int} or min(flat) < 0 or max(flat) >= _UNSIGNED_END:
        return ObjectCells.of(values)
    return TupleCells.narrow(np.array(values, "u8"))


def octets_of(raw: NDArray[Any]) -> list[bytes]:
    """Return the bytes of each row of an array of bytes."""
    octets, width = raw.tobytes(), raw.shape[1]
    return [octets[n * width : (n + 1) * width] for n in range(len(raw))]
