"""An open ELF file: which parts of it are read, and how much at most.

Nothing in a file is trusted: it may have been made to confuse, to cost time or memory, or change
meanwhile. It is read piece by piece, and never mapped.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

MOST_NAMES = 1 << 27
"""Bytes searched in a table of names."""
MOST_CODE = 1 << 28
"""Bytes of a file searched for signs of a runtime."""
LONGEST = 1 << 12
"""Bytes of a name."""
CHUNK = 1 << 20
"""Bytes read at a time."""
_MOST_KEPT = 1 << 25
"""Bytes read, or kept, in one piece."""
_MOST_HEADERS, _LARGEST_HEADER = 1 << 16, 1 << 8
_SMALLEST = 52
"""Bytes of the smallest ELF header. Generated files in /proc and tracefs have size 0."""
_SYMTAB, _DYNSYM = 2, 11  # section types


class Class(NamedTuple):
    """Layout of the headers of 32- or 64-bit files, without byte order."""

    header: str
    section: str
    segment: str
    symbol: str


CLASSES = {
    1: Class("HHIIIIIHHHHHH", "IIIIIIIIII", "IIIIIIII", "IIIBBH"),
    2: Class("HHIQQQIHHHHHH", "IIQQQQIIQQ", "IIQQQQQQ", "IBBHQQ"),
}


class Span(NamedTuple):
    """A part of the file."""

    at: int
    size: int


class SymbolTable(NamedTuple):
    """A table of symbols, and that of their names."""

    symbols: Span
    names: Span


class File:
    """An open regular file; how much of it is read is bounded."""

    def __init__(self, fd: int) -> None:
        about = os.fstat(fd)
        self._fd, self.size = fd, about.st_size
        self.identity = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)

    def part(self, at: int, size: int) -> bytes:
        if not 0 <= size <= _MOST_KEPT:
            raise ValueError("too large")
        return os.pread(self._fd, size, at)

    def kept(self, span: Span) -> bytes:
        """Read as much of it as may be kept."""
        return self.part(span.at, min(span.size, _MOST_KEPT))

    def records(self, layout: str, at: int, each: int, count: int) -> Iterator[tuple[int, ...]]:
        record, count = struct.Struct(layout), min(count, _MOST_HEADERS)
        if count and not record.size <= each <= _LARGEST_HEADER:
            raise ValueError("no such headers")
        raw = self.part(at, count * each)
        if len(raw) < count * each:
            raise ValueError("cut off")
        return (record.unpack_from(raw, i * each) for i in range(count))

    def search(
        self, pattern: re.Pattern[bytes], span: Span
    ) -> Iterator[tuple[int, re.Match[bytes]]]:
        """Yield where in the file the pattern matches; no match is longer than `LONGEST`."""
        end = span.at + min(span.size, max(MOST_NAMES, MOST_CODE), max(self.size - span.at, 0))
        for at in range(span.at, end, CHUNK):
            raw = self.part(at, min(CHUNK + LONGEST, end - at))
            for match in pattern.finditer(raw):
                if match.start() >= CHUNK:
                    break
                yield at + match.start(), match


@contextmanager
def opened(path: str) -> Iterator[File]:
    """Open a regular file. No device or pipe is opened: some would wait, or do something."""
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        about = os.fstat(place)
        if not stat.S_ISREG(about.st_mode) or about.st_size < _SMALLEST:
            raise ValueError("not a regular file")
        fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.close(place)
    try:
        yield File(fd)
    finally:
        os.close(fd)


def tables_of(sections: list[tuple[int, ...]]) -> Iterator[SymbolTable]:
    """Yield one table of each kind. A section: name, type, flags, address, offset, size, link..."""
    for kind in (_SYMTAB, _DYNSYM):
        found = next((s for s in sections if s[1] == kind), None)
        if found is not None:
            names = sections[found[6]] if found[6] < len(sections) else None
            if names is None:
                raise ValueError("no names")
            yield SymbolTable(Span(found[4], found[5]), Span(names[4], min(names[5], MOST_NAMES)))


def named_sections(
    file: File, sections: list[tuple[int, ...]], names: int
) -> Iterator[tuple[bytes, Span]]:
    if names >= len(sections):
        return
    raw = file.part(sections[names][4], min(sections[names][5], CHUNK))
    for s in sections:
        name = raw[s[0] : s[0] + 64].partition(b"\0")[0]
        yield name, Span(s[4], s[5] if s[1] != 8 else 0)  # .bss and the like are not in the file


def text(names: bytes, at: int) -> str:
    """Return the text at an offset; "" where it has no end."""
    name, end, _ = names[at : at + LONGEST].partition(b"\0")
    return decoded(name.partition(b"@")[0]) if end else ""


def decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
