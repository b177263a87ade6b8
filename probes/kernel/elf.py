"""The functions of a program or library, from its ELF file: by name for probes, by place for
stacks.

Only what these two need is read, and nothing of it is believed: a file may have been made to
confuse, or change meanwhile. Symbols come from `.symtab` and `.dynsym`; a stripped file has the
second one only.
"""

from __future__ import annotations

import os
import stat
import struct
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from probes.errors import Gone, Unsupported

_SYMTAB, _DYNSYM = 2, 11  # section types
_LOAD, _FUNC, _IFUNC = 1, 2, 10  # a segment's and two symbols' types
_MOST_HEADERS = 1 << 16
_MOST_BYTES = 1 << 28  # of a table
_LARGEST = 1 << 24  # no function is larger


class _Class(NamedTuple):
    """How the headers of 32- or 64-bit files are laid out, without byte order."""

    header: str
    section: str
    segment: str
    symbol: str


_CLASSES = {
    1: _Class("HHIIIIIHHHHHH", "IIIIIIIIII", "IIIIIIII", "IIIBBH"),
    2: _Class("HHIQQQIHHHHHH", "IIQQQQIIQQ", "IIQQQQQQ", "IBBHQQ"),
}


class Symbol(NamedTuple):
    """A function. address: where it is linked to. resolver: it only chooses among functions."""

    name: str
    address: int
    size: int
    visible: bool
    resolver: bool


class Segment(NamedTuple):
    """A part of the file that is mapped: at `offset` what is linked to `address`."""

    offset: int
    address: int
    size: int


class Elf:
    """An ELF file's functions. Raises Gone (no such file) and Unsupported (it is none)."""

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self._sorted: tuple[list[int], list[Symbol]] | None = None
        try:
            self._fd = _opened(self.path)
            try:
                self._read()
            finally:
                os.close(self._fd)
        except FileNotFoundError:
            raise Gone(f"there is no file {path}") from None
        except OSError as refused:
            why = f"{path} cannot be read: {refused.strerror}"
            raise Unsupported(why, errno=refused.errno or 0) from None
        except (struct.error, ValueError, OverflowError):
            raise Unsupported(f"{path} is no program or library (ELF)") from None

    def _read(self) -> None:
        magic = self._part(0, 16).ljust(16, b"\0")
        if magic[:4] != b"\x7fELF" or magic[4] not in _CLASSES or magic[5] not in (1, 2):
            raise ValueError("no ELF")
        self._wide, layout = magic[4] == 2, _CLASSES[magic[4]]
        order = "<" if magic[5] == 1 else ">"
        self._symbol = struct.Struct(order + layout.symbol)
        header = self._unpacked(order + layout.header, 16)
        _, _, _, _, segments_at, sections_at, _, _, each, count, size, sections, _ = header
        self.segments = tuple(self._segments(order + layout.segment, segments_at, each, count))
        self._tables = tuple(
            self._symbol_tables(order + layout.section, sections_at, size, sections)
        )

    def _part(self, at: int, size: int) -> bytes:
        if not 0 <= size <= _MOST_BYTES:
            raise ValueError("too large")
        return os.pread(self._fd, size, at)

    def _unpacked(self, layout: str, at: int) -> tuple[int, ...]:
        return struct.unpack(layout, self._part(at, struct.calcsize(layout)))

    def _segments(self, layout: str, at: int, each: int, count: int) -> Iterator[Segment]:
        for i in range(min(count, _MOST_HEADERS)):
            p = self._unpacked(layout, at + i * each)
            if p[0] == _LOAD:  # 64 bits: type, flags, offset, ...; 32: type, offset, ...
                offset, address, size = (p[2], p[3], p[5]) if self._wide else (p[1], p[2], p[4])
                yield Segment(offset, address, size)

    def _symbol_tables(
        self, layout: str, at: int, each: int, count: int
    ) -> Iterator[tuple[bytes, bytes]]:
        """Symbols and names of each. A section: name, type, flags, address, offset, size, link."""
        for i in range(min(count, _MOST_HEADERS)):
            section = self._unpacked(layout, at + i * each)
            if section[1] in (_SYMTAB, _DYNSYM):
                names = self._unpacked(layout, at + section[6] * each)
                yield self._part(section[4], section[5]), self._part(names[4], names[5])

    def symbols(self) -> Iterator[Symbol]:
        """Every function with a name, from both tables; most are in both, if in the first."""
        for raw, names in self._tables:
            whole = len(raw) // self._symbol.size * self._symbol.size
            for entry in self._symbol.iter_unpack(raw[:whole]):
                if self._wide:
                    name, info, other, section, address, size = entry
                else:
                    name, address, size, info, other, section = entry
                kind = info & 15
                if kind in (_FUNC, _IFUNC) and section and address and name:
                    text = names[name : names.find(b"\0", name)].decode(errors="replace")
                    visible = info >> 4 != 0 and other & 3 != 2  # neither local nor hidden
                    # Some linkers write a symbol's version behind it.
                    yield Symbol(text.partition("@")[0], address, size, visible, kind == _IFUNC)

    def named(self, name: str) -> list[Symbol]:
        """The functions of a name, one for each address; only visible ones where there are some.

        A library may have several versions of a function under one name.
        """
        found = {s.address: s for s in self.symbols() if s.name == name}
        visible = [s for s in found.values() if s.visible]
        return visible or list(found.values())

    def offset(self, address: int) -> int | None:
        """Where in the file a linked address is."""
        for s in self.segments:
            if s.address <= address < s.address + s.size:
                return address - s.address + s.offset
        return None

    def function_at(self, offset: int) -> str | None:
        """The function that the code at a place in the file belongs to."""
        for s in self.segments:
            if s.offset <= offset < s.offset + s.size:
                return self._covering(offset - s.offset + s.address)
        return None

    def _covering(self, address: int) -> str | None:
        starts, symbols = self._by_address()
        n = bisect_right(starts, address) - 1
        if n < 0:
            return None
        size = symbols[n].size or _LARGEST  # what was written in assembly may have none
        return symbols[n].name if address - starts[n] < size else None

    def _by_address(self) -> tuple[list[int], list[Symbol]]:
        if self._sorted is None:
            # Of several names at one address: one that is visible, and among these the first.
            best: dict[int, Symbol] = {}
            for symbol in self.symbols():
                known = best.get(symbol.address)
                if known is None or (symbol.visible and not known.visible):
                    best[symbol.address] = symbol
            ordered = sorted(best.values(), key=lambda s: s.address)
            self._sorted = [s.address for s in ordered], ordered
        return self._sorted


def _opened(path: str) -> int:
    """No device and no pipe is opened: some would wait, or do something."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise ValueError("no file")


def read(path: Path | str) -> Elf:
    """The file as it is now; what was read of it before is used again. Raises as `Elf` does."""
    try:
        about = Path(path).stat()
    except OSError:
        return Elf(path)  # which says what is wrong
    return _kept(str(path), about.st_dev, about.st_ino, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _kept(path: str, *_identity: int) -> Elf:
    return Elf(path)
