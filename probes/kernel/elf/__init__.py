"""Functions of a program or library, from its ELF file.

They are found by name for probes and by place for stacks; and whether something in the file reads
the return addresses on its stacks. Each look at a file ends after `READ_SECONDS`, as it may be on a
file system that never answers. Symbols come from `.symtab` and `.dynsym`; a stripped file has the
second one only.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from probes.errors import Gone, Unsupported, in_words, no_such_file
from probes.kernel import patience
from probes.kernel.elf.file import (
    CHUNK,
    CLASSES,
    MOST_NAMES,
    File,
    Span,
    SymbolTable,
    named_sections,
    opened,
    tables_of,
    text,
)
from probes.kernel.elf.index import Index, Indexes
from probes.kernel.elf.stack_readers import Search, StackReader, StackUse, has_go_note
from probes.units import printable

__all__ = [
    "MOST_NAMES",
    "MOST_SYMBOLS",
    "READ_SECONDS",
    "Elf",
    "StackReader",
    "StackUse",
    "Symbol",
    "read",
]

T = TypeVar("T")
READ_SECONDS = 5.0
"""Seconds after which a look at a file is given up."""
MOST_SYMBOLS = 1 << 20
"""Symbols looked through in one table."""
_MOST_SUGGESTED = 1 << 24
"""Characters of names searched for similar ones."""
_MOST_INDEXED = 1 << 19
"""Symbols of a table that are indexed by place."""
_MOST_FILES = 256
MOST_PLACES = 1 << 12
"""Places of one name in a table of names: no linker writes a table with more."""
_LOAD, _NOTE, _FUNC, _IFUNC = 1, 4, 2, 10  # two segments' and two symbols' types


class Symbol(NamedTuple):
    """A function. address: where it is linked to. resolver: it only chooses among functions."""

    name: str
    address: int
    size: int
    visible: bool
    resolver: bool


class Segment(NamedTuple):
    """A mapped part of the file: what is linked to `address` is at `offset`."""

    offset: int
    address: int
    size: int


class Elf:
    """Functions of an ELF file. Raises Gone (no such file) and Unsupported (it is none)."""

    def __init__(self, path: Path | str, seconds: float = READ_SECONDS) -> None:
        self.path, self._seconds = str(path), seconds
        self._reader: list[StackReader | None] = []
        self._identity: tuple[int, ...] = ()
        vars(self).update(self._look(self._headers))

    # -- the file --------------------------------------------------------------------------------

    def _look(self, what: Callable[[File], T]) -> T:
        """Open the file for a moment, and look. Raises Gone and Unsupported."""
        shown = printable(self.path)
        try:
            return patience.within(self._seconds, partial(self._opened, what))
        except OSError as refused:
            if no_such_file(refused.errno):
                raise Gone(f"there is no file {shown}") from None
            why = f"{shown} cannot be read: {in_words(refused)}"
            raise Unsupported(why, errno=refused.errno or 0) from None
        except (struct.error, ValueError, OverflowError):
            raise Unsupported(f"{shown} is not a program or library (ELF)") from None

    def _opened(self, what: Callable[[File], T]) -> T:
        with opened(self.path) as file:
            if self._identity not in ((), file.identity):
                raise ValueError("replaced by another file")
            self._identity = file.identity
            return what(file)

    def _headers(self, file: File) -> dict[str, Any]:
        """Read the headers."""
        magic = file.part(0, 16).ljust(16, b"\0")
        if magic[:4] != b"\x7fELF" or magic[4] not in CLASSES or magic[5] not in (1, 2):
            raise ValueError("no ELF")
        self._wide, layout = magic[4] == 2, CLASSES[magic[4]]
        order = "<" if magic[5] == 1 else ">"
        self._layout = order + layout.symbol
        header = struct.Struct(order + layout.header)
        _, _, _, _, segments_at, sections_at, _, _, each, count, size, sections, names = (
            header.unpack(file.part(16, header.size))
        )
        segments = list(file.records(order + layout.segment, segments_at, each, count))
        self.segments = tuple(self._segment(p) for p in segments if p[0] == _LOAD)
        notes = [self._segment(p) for p in segments if p[0] == _NOTE]
        self._go_note = has_go_note(file, (Span(n.offset, n.size) for n in notes))
        described = list(file.records(order + layout.section, sections_at, size, sections))
        self._tables = tuple(tables_of(described))
        self._sections = dict(named_sections(file, described, names))
        return vars(self)

    def _segment(self, p: tuple[int, ...]) -> Segment:
        """Parse a program header. 64-bit: type, flags, offset, address...; 32: type, offset..."""
        return Segment(p[2], p[3], p[5]) if self._wide else Segment(p[1], p[2], p[4])

    # -- by name ---------------------------------------------------------------------------------

    def named(self, name: str) -> list[Symbol]:
        """Return the functions of a name, one for each address; if some are visible, only these.

        A library may have several versions of a function under one name.
        """
        found = self._look(partial(self._called_so, name))
        visible = [s for s in found.values() if s.visible]
        return visible or list(found.values())

    def _called_so(self, name: str, file: File) -> dict[int, Symbol]:
        return {s.address: s for s in self._called(file, name)}

    def _called(self, file: File, name: str) -> Iterator[Symbol]:
        # Some linkers write a symbol's version behind it.
        pattern = re.compile(re.escape(os.fsencode(name)) + rb"[\0@]")
        for table in self._tables:
            hits = islice(file.search(pattern, table.names), MOST_PLACES)
            places = {at - table.names.at for at, _ in hits}
            if places:
                for entry in self._entries(file, table):
                    if entry[0] in places and (symbol := self._made(entry, name)):
                        yield symbol

    def names(self) -> frozenset[str]:
        """Return the functions' names, as many as are looked through."""
        return self._look(self._names)

    def _names(self, file: File) -> frozenset[str]:
        names: set[str] = set()
        left = _MOST_SUGGESTED
        for symbol in self._symbols(file):
            names.add(symbol.name)
            left -= len(symbol.name)
            if left < 0:
                break
        return frozenset(names)

    def _symbols(self, file: File) -> Iterator[Symbol]:
        """Yield functions with a name, from both tables; most are in both, if in the first."""
        for table in self._tables:
            names = file.kept(table.names)
            for entry in self._entries(file, table):
                if (symbol := self._made(entry, "")) and (name := text(names, entry[0])):
                    yield symbol._replace(name=name)

    def _entries(self, file: File, table: SymbolTable) -> Iterator[tuple[int, ...]]:
        symbol = struct.Struct(self._layout)
        each = symbol.size
        size = min(table.symbols.size // each, MOST_SYMBOLS) * each
        chunk = CHUNK // each * each
        for done in range(0, size, chunk):
            raw = file.part(table.symbols.at + done, min(chunk, size - done))
            yield from symbol.iter_unpack(raw[: len(raw) // each * each])

    def _made(self, entry: tuple[int, ...], name: str) -> Symbol | None:
        if self._wide:
            at, info, other, section, address, size = entry
        else:
            at, address, size, info, other, section = entry
        kind = info & 15
        if kind not in (_FUNC, _IFUNC) or not (section and address and at):
            return None
        visible = info >> 4 != 0 and other & 3 != 2  # neither local nor hidden
        return Symbol(name, address, size, visible, kind == _IFUNC)

    # -- by place --------------------------------------------------------------------------------

    def offset(self, address: int) -> int | None:
        """Return the offset in the file of a linked address."""
        for s in self.segments:
            if s.address <= address < s.address + s.size:
                return address - s.address + s.offset
        return None

    def function_at(self, offset: int) -> str | None:
        """Return the function that the code at an offset in the file belongs to."""
        for s in self.segments:
            if s.offset <= offset < s.offset + s.size:
                return self._by_address().covering(offset - s.offset + s.address)
        return None

    def _by_address(self) -> Index:
        index = _indexes.get(self)
        if index is None:
            try:
                index = self._look(self._indexed)
            except (Gone, Unsupported):
                index = Index()
            _indexes.put(self, index)
        return index

    def _indexed(self, file: File) -> Index:
        index = Index()
        for table in self._tables:
            index.names.append(file.kept(table.names))
            for entry in islice(self._entries(file, table), _MOST_INDEXED):
                if symbol := self._made(entry, ""):
                    index.add(symbol.address, symbol.size, entry[0], visible=symbol.visible)
        index.sort()
        return index

    # -- what reads its stacks -------------------------------------------------------------------

    @property
    def stack_reader(self) -> StackReader | None:
        """What in it reads return addresses, or None. Raises Gone and Unsupported."""
        if not self._reader:
            self._reader.append(self._look(self._reads_stacks))
        return self._reader[0]

    def _reads_stacks(self, file: File) -> StackReader | None:
        search = Search(file, self._layout[0], self._tables, self._sections)
        return search.reader(go_note=self._go_note)


_indexes = Indexes()


class _FileCache:
    """Files read recently, by identity: one may have many names."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, ...], Elf] = OrderedDict()

    def get(self, identity: tuple[int, ...], path: str) -> Elf | None:
        """Return the file of that identity, under the name that works now."""
        with self._lock:
            file = self._kept.get(identity)
            if file is not None:
                file.path = path
                self._kept.move_to_end(identity)
            return file

    def put(self, identity: tuple[int, ...], file: Elf) -> None:
        with self._lock:
            self._kept[identity] = file
            if len(self._kept) > _MOST_FILES:
                self._kept.popitem(last=False)


_files = _FileCache()


def read(path: Path | str, seconds: float = READ_SECONDS) -> Elf:
    """Read the file as it is now; reuse what was read of it before. Raises as `Elf` does.

    seconds: after which a look at it is given up, now and later.
    """
    try:
        about = patience.within(seconds, partial(os.stat, path))
    except patience.TookTooLong as late:
        raise Unsupported(f"{printable(str(path))} cannot be read: {in_words(late)}") from None
    except OSError:
        return Elf(path, seconds)  # which says what is wrong
    identity = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
    file = _files.get(identity, str(path))
    if file is None:
        file = Elf(path, seconds)
        _files.put(identity, file)
    return file
