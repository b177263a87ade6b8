"""Values as bytes, and rows column by column: the changes since the previous rows.

Unchanged columns cost a byte. Integers that change are stored as differences, in the smallest array
that holds them. All of it is for `encoder`; input is untrusted, so a `Reader` raises Malformed for
anything that a `Writer` cannot have written, and is bounded in what it makes.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate, repeat
from operator import add, sub
from typing import Any

from probes.model import Row, Value

MOST_CELLS = 4 << 20
"""Cells of one frame, and bytes of its texts, by default.

A cell takes ten bytes of memory: a moment 40 MB, of which two exist at the same time.
"""
_BASE, _COPIES, _CELL = 90_000_000, 2.6, 10
"""Bytes in use before any moment, moments that exist at the same time, and bytes of a cell.

One of the moments is being made.
"""
MOST_TEXT = 1 << 18
"""Bytes of one text: a stack of 250 long names has fewer."""
SINGLE = 8
"""Cells that a value costs if written by itself: as many are read in the same time."""
NUMBER, TEXT, TUPLE = 3, 6, 4
"""Cells that a new number, a text and a tuple cost beside their own.

A number is new if Python does not have it already.
"""
TEXT_CELL = 8
"""Bytes of text that cost as much as a cell."""
LONGEST = 64
"""Cells of a tuple: a log2 histogram of 64 bits."""
_WIDEST = 20
"""Bytes of an integer: more than any counter has."""

SAME, TEXTS, TUPLES, CHANGED, ALL = 0, 1, 2, 3, 4
"""What a column begins with: the tags of its kinds; integers have that of their size."""
CODES = {10: "b", 11: "h", 12: "i", 13: "q"}
SMALL, LEAST_SMALL, MOST_SMALL = "b", -5, 256
"""The code of integers of one octet; and the integers that Python has already."""
BOUNDS = tuple((tag, code, 1 << (array(code).itemsize * 8 - 1)) for tag, code in CODES.items())
"""Integer sizes: tag, code of `array`, and the least number that does not fit."""
_INT, _STR = {int}, {str}
_SWAP = sys.byteorder == "big"

TOO_LARGE = "a moment needs more memory than --memory allows"

Column = Sequence[Value]


class Malformed(ValueError):
    """Bytes that this program cannot have written; one phrase."""


class Writer:
    """Bytes in the making. A size is a number that is not negative."""

    def __init__(self) -> None:
        self.data = bytearray()

    def size(self, number: int) -> None:
        if number <= 0x7F:
            self.data.append(number)
            return
        while number > 0x7F:
            self.data.append(number & 0x7F | 0x80)
            number >>= 7
        self.data.append(number)

    def count(self, number: int | None) -> None:
        """Write a count that may be None."""
        self.size(0 if number is None else number + 1)

    def number(self, number: int) -> None:
        self.size(number << 1 if number >= 0 else ~number << 1 | 1)

    def real(self, number: float) -> None:
        self.data += struct.pack("<d", number)

    def text(self, text: str) -> None:
        octets = text.encode("utf-8", "surrogatepass")
        self.size(len(octets))
        self.data += octets

    def optional(self, text: str | None) -> None:
        self.data.append(text is not None)
        if text is not None:
            self.text(text)

    def rows(self, rows: Sequence[Row], base: Sequence[Row] | None) -> None:
        """Write rows of one width; base: as many of the same width, which the reader has, too.

        Of those with a base only differences are written: how many, which, and their columns.
        """
        if base is None:
            self._columns(rows, None)
            return
        changed = [i for i, (now, was) in enumerate(zip(rows, base, strict=True)) if now != was]
        self.size(len(changed))
        if changed and len(changed) < len(rows):
            self.column([i - last for i, last in zip(changed, [-1, *changed], strict=False)], None)
            rows, base = [rows[i] for i in changed], [base[i] for i in changed]
        if changed:
            self._columns(rows, base)

    def _columns(self, rows: Sequence[Row], base: Sequence[Row] | None) -> None:
        befores = repeat(None) if base is None else zip(*base, strict=True)
        for now, before in zip(zip(*rows, strict=True), befores, strict=False):
            self.column(now, before)

    def column(self, now: Column, before: Column | None) -> None:
        """Write all of a column's values, at least one."""
        if before is not None and now == before:
            self.data.append(SAME)
            return
        types = set(map(type, now))
        if before is None and types == _STR:
            self._texts(now)  # type: ignore[arg-type]
        elif types == _INT and (before is None or set(map(type, before)) == _INT):
            if not self._integers(now, before):
                self._singly(now, before)
        elif types == {tuple} and (before is None or set(map(type, before)) == {tuple}):
            self._tuples(now, before)  # type: ignore[arg-type]
        else:
            self._singly(now, before)

    def _texts(self, now: Sequence[str]) -> None:
        joined = "\0".join(now)
        if joined.count("\0") != len(now) - 1:
            self._singly(now, None)
            return
        self.data.append(TEXTS)
        self.text(joined)

    def _integers(self, now: Column, before: Column | None) -> bool:
        """Write a column of integers; return whether it is one, and none is too large.

        That is tried instead of looked at, as a column of buckets costs microseconds.
        """
        try:
            steps: Sequence[Any] = now if before is None else list(map(sub, now, before))
        except TypeError:
            return False
        for tag, code in CODES.items():
            try:
                planes = _planes(code, steps)
            except OverflowError:
                continue
            except TypeError:
                return False
            self.data.append(tag)
            self.data += planes
            return True
        return False

    def _tuples(
        self, now: Sequence[tuple[int, ...]], before: Sequence[tuple[int, ...]] | None
    ) -> None:
        lengths = set(map(len, now)) | set(map(len, before or ()))
        if len(lengths) != 1 or not 0 < len(now[0]) <= LONGEST:
            self._singly(now, before)
            return
        self.data.append(TUPLES)
        self.size(len(now[0]))
        befores = repeat(None) if before is None else zip(*before, strict=True)
        for bucket, was in zip(zip(*now, strict=True), befores, strict=False):
            if bucket == was:
                self.data.append(SAME)
            elif not self._integers(bucket, was):
                self.column(bucket, was)

    def _singly(self, now: Column, before: Column | None) -> None:
        if before is None:
            self.data.append(ALL)
            for value in now:
                self.value(value)
            return
        self.data.append(CHANGED)
        changed = [i for i, (a, b) in enumerate(zip(now, before, strict=True)) if a != b]
        self.size(len(changed))
        last = 0
        for i in changed:
            self.size(i - last)
            self.value(now[i])
            last = i

    def value(self, value: Value) -> None:
        """Write one value, with a tag for its type."""
        if type(value) is int:
            self.data += b"i"
            self.number(value)
        elif value is None or (isinstance(value, float) and not math.isfinite(value)):
            self.data += b"n"
        elif isinstance(value, str):
            self.data += b"s"
            self.text(value)
        elif isinstance(value, float):
            self.data += b"f"
            self.real(value)
        elif isinstance(value, tuple):
            self.data += b"t"
            kept = value[:LONGEST]
            self.size(len(kept))
            for number in kept:
                self.number(number)
        else:
            self.data += b"i"
            self.number(value)


class Reader:
    """A reader of what a `Writer` wrote. Raises Malformed.

    cells: how many may be made. harmful: whether a text was read that no terminal should get.
    """

    def __init__(self, data: bytes, cells: int = MOST_CELLS) -> None:
        self._data = data
        self._at = 0
        self._cells, self._most = cells, cells
        self._texts_left = cells
        self.harmful = False

    @property
    def spent(self) -> int:
        """Cells made so far."""
        return self._most - self._cells

    def done(self) -> bool:
        return self._at == len(self._data)

    def rest(self) -> memoryview:
        """Return everything that was not read."""
        return memoryview(self._data)[self._at :]

    def octets(self, number: int) -> bytes:
        taken = self._data[self._at : self._at + number]
        if len(taken) != number:
            raise Malformed("it ends too early")
        self._at += number
        return taken

    def octet(self) -> int:
        return self.octets(1)[0]

    def next_octet(self) -> int:
        """Return the next octet without reading it; -1 at the end."""
        return self._data[self._at] if self._at < len(self._data) else -1

    def flag(self) -> bool:
        return self.octet() != 0

    def size(self, most: int) -> int:
        number = self._varint()
        if number > most:
            raise Malformed("a number is out of bounds")
        return number

    def count(self, most: int) -> int | None:
        return number - 1 if (number := self.size(most + 1)) else None

    def number(self) -> int:
        number = self._varint()
        return ~(number >> 1) if number & 1 else number >> 1

    def _varint(self) -> int:
        number, data = 0, self._data
        for shift in range(0, 7 * _WIDEST, 7):
            if self._at >= len(data):
                raise Malformed("it ends too early")
            octet = data[self._at]
            self._at += 1
            number |= (octet & 0x7F) << shift
            if octet < 0x80:
                return number
        raise Malformed("a number is too long")

    def real(self) -> float:
        (number,) = struct.unpack("<d", self.octets(8))
        if not math.isfinite(number):
            raise Malformed("a number is not finite")
        return float(number)

    def text(self, most: int = MOST_TEXT) -> str:
        """Read a text as it was written, of so many bytes at most."""
        text = self._text(most)
        self.harmful = self.harmful or not text.isprintable()
        return text

    def _text(self, most: int) -> str:
        length = self.size(most)
        self._texts_left -= length
        if self._texts_left < 0:
            raise Malformed(TOO_LARGE)
        self.take(TEXT + length // TEXT_CELL)
        try:
            return self.octets(length).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise Malformed("a text is not UTF-8") from None

    def optional(self, most: int = MOST_TEXT) -> str | None:
        return self.text(most) if self.flag() else None

    def rows(self, number: int, width: int, base: Sequence[Row] | None) -> list[Row]:
        """Read so many rows of that width; base: as many of the same width, or None."""
        if base is None:
            return self._columns(number, width, None) if number else []
        changed = self.size(number)
        rows = list(base)
        if not changed:
            return rows
        self.take(changed * width)
        if changed == number:
            return self._columns(number, width, base)
        places = [place - 1 for place in accumulate(self.integers(changed))]
        if min(places) < 0 or max(places) >= number:
            raise Malformed("a row is out of bounds")
        fresh = self._columns(changed, width, [base[i] for i in places])
        for place, row in zip(places, fresh, strict=True):
            rows[place] = row
        return rows

    def _columns(self, number: int, width: int, base: Sequence[Row] | None) -> list[Row]:
        befores = repeat(None, width) if base is None else zip(*base, strict=True)
        columns = [self.column(number, before) for before in befores]
        return list(zip(*columns, strict=True))

    def column(self, number: int, before: Column | None) -> Column:
        self.take(number)
        tag = self.octet()
        if tag == SAME and before is not None:
            return before
        if tag in CODES:
            return self._integers(CODES[tag], number, before)
        if tag == TEXTS and before is None:
            return self._texts(number)
        if tag == TUPLES:
            return self._tuples(number, before)
        if tag == CHANGED and before is not None:
            return self._changed(number, before)
        if tag == ALL and before is None:
            return [self._value() for _ in range(number)]
        raise Malformed("a column is of an unknown kind")

    def whole(self, number: int, width: int) -> list[Sequence[int]]:
        """Read columns of integers of so many rows."""
        return [self.integers(number) for _ in range(width)] if number else []

    def integers(self, number: int) -> Sequence[int]:
        """Read a column of integers only, written without a base."""
        column = self.column(number, None)
        _want(column, int)
        return column  # type: ignore[return-value]

    def take(self, cells: int) -> None:
        """Count so many more cells that are about to be made."""
        self._cells -= cells
        if self._cells < 0:
            raise Malformed(TOO_LARGE)

    def _texts(self, number: int) -> list[str]:
        self.take(TEXT * number)
        joined = self._text(self._most)
        if joined.count("\0") != number - 1:
            raise Malformed("a column has the wrong length")
        self.harmful = self.harmful or not joined.replace("\0", "").isprintable()
        return joined.split("\0")

    def _integers(self, code: str, number: int, before: Column | None) -> list[int]:
        steps = _numbers(code, number, self.octets(number * array(code).itemsize))
        if before is not None or code != SMALL or min(steps) < LEAST_SMALL:
            self.take(NUMBER * number)
        if before is None:
            return steps.tolist()
        _want(before, int)
        return list(map(add, before, steps))

    def _tuples(self, number: int, before: Column | None) -> Column:
        length = self.size(LONGEST)
        if not length:
            raise Malformed("a column is of an unknown kind")
        self.take(TUPLE * number)
        if before is not None:
            _want(before, tuple)
            if set(map(len, before)) != {length}:  # type: ignore[arg-type]
                raise Malformed("a column has the wrong length")
        befores = [None] * length if before is None else zip(*before, strict=True)
        columns = [self.column(number, column) for column in befores]
        for column in columns:
            _want(column, int)
        return list(zip(*columns, strict=True))

    def changes(self, number: int) -> tuple[list[int], list[Value]]:
        """Read a column of which few values changed: their places, and what they are now."""
        self.take(number)
        if self.octet() != CHANGED:
            raise Malformed("a column is of an unknown kind")
        return self._changes(number)

    def _changes(self, number: int) -> tuple[list[int], list[Value]]:
        places, values, at = list[int](), list[Value](), 0
        for _ in range(self.size(number)):  # each has its cells taken in `_value`
            at += self.size(number)
            if at >= number:
                raise Malformed("a row is out of bounds")
            places.append(at)
            values.append(self._value())
        return places, values

    def _changed(self, number: int, before: Column) -> list[Value]:
        now = list(before)
        for place, value in zip(*self._changes(number), strict=True):
            now[place] = value
        return now

    def _value(self) -> Value:
        self.take(SINGLE)
        read = _VALUES.get(self.octet())
        if read is None:
            raise Malformed("a value is of an unknown kind")
        return read(self)

    def _tuple(self) -> tuple[int, ...]:
        length = self.size(LONGEST)
        self.take(SINGLE * length // 2)
        return tuple([self.number() for _ in range(length)])


_VALUES: dict[int, Callable[[Reader], Value]] = {
    ord("n"): lambda _: None,
    ord("s"): Reader.text,
    ord("f"): Reader.real,
    ord("i"): Reader.number,
    ord("t"): Reader._tuple,
}


def _planes(code: str, numbers: Sequence[int]) -> bytes:
    """Return all lowest octets, then all next ones: small or similar values compress well."""
    if code == SMALL:
        return array(code, numbers).tobytes()
    packed = array(code, numbers)
    if _SWAP:
        packed.byteswap()
    octets = packed.tobytes()
    size = packed.itemsize
    return b"".join([octets[i::size] for i in range(size)])


def _numbers(code: str, number: int, planes: bytes) -> array[int]:
    """Return the numbers of such planes."""
    numbers = array(code)
    size = numbers.itemsize
    octets = bytearray(len(planes))
    for i in range(size):
        octets[i::size] = planes[i * number : (i + 1) * number]
    numbers.frombytes(octets)
    if _SWAP:
        numbers.byteswap()
    return numbers


def cells_for(memory: int) -> int:
    """Return the cells that a moment may have within so many bytes."""
    return max(int((memory - _BASE) / (_COPIES * _CELL)), MOST_CELLS)


def memory_for(cells: int) -> int:
    """Return the bytes that it takes to read moments of so many cells, one after the other."""
    return int(cells * _COPIES * _CELL)


def cells_of(value: Value) -> int:
    """Return the cost of a value, however it was written."""
    if isinstance(value, tuple):
        return TUPLE + sum(map(cells_of, value))
    if isinstance(value, str):
        return 1 + TEXT + len(value) // TEXT_CELL
    free = value is None or (isinstance(value, int) and LEAST_SMALL <= value <= MOST_SMALL)
    return 1 if free else 1 + NUMBER


def _want(column: Column, kind: type) -> None:
    if set(map(type, column)) != {kind}:
        raise Malformed("a column is of the wrong kind")
