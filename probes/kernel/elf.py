"""The functions of a program or library, from its ELF file: by name for probes, by place for
stacks, and whether something in it reads the return addresses on its stacks.

Nothing of a file is believed: it may have been made to confuse, to cost time or memory, or change
meanwhile. It is read piece by piece, never mapped, and each look at it ends after `SECONDS`, as it
may be on a file system that never answers. Symbols come from `.symtab` and `.dynsym`; a stripped
file has the second one only.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from probes.errors import Gone, Unsupported, in_words, no_such_file
from probes.kernel import patience
from probes.units import printable

T = TypeVar("T")
SECONDS = 5.0
"""After which a look at a file is given up."""
MOST_SYMBOLS = 1 << 20
"""Of one table that are looked through."""
MOST_NAMES = 1 << 27
"""Bytes of a table of names that are searched."""
_MOST_KEPT = 1 << 25
"""Bytes that are read, or kept, in one piece."""
_MOST_SUGGESTED = 1 << 24
"""Characters of names that one may have meant."""
_MOST_INDEXED = 1 << 19
"""Symbols of a table that places are looked up among."""
_MOST_FILES, _MOST_INDEXES, _MOST_INDEX_BYTES = 256, 64, 1 << 26
_MOST_PLACES = 1 << 12
"""Places in a table of names where one name is found: more is no table that a linker writes."""
_LONGEST = 1 << 12
"""Bytes of a name."""
_SHOWN = 1 << 8
"""Characters of a name in a stack."""
_MOST_HEADERS, _LARGEST_HEADER = 1 << 16, 1 << 8
_MOST_CODE = 1 << 28
"""Bytes of a file that are searched for signs of a runtime."""
_CHUNK = 1 << 20
_SMALLEST = 52
"""Bytes of the least ELF header. What the kernel makes up in /proc and tracefs is empty by size."""
_SYMTAB, _DYNSYM = 2, 11  # section types
_LOAD, _NOTE, _FUNC, _IFUNC = 1, 4, 2, 10  # two segments' and two symbols' types
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


class Span(NamedTuple):
    """A part of the file."""

    at: int
    size: int


class Table(NamedTuple):
    """A table of symbols, and the one of their names."""

    symbols: Span
    names: Span


class Stacks(Enum):
    """What a program does with its stacks that no return address may be replaced on."""

    GO = "moves them"
    UNWINDS = "unwinds them when something is thrown"
    SWITCHES = "goes from one to another within a function"
    SCANS = "looks for live values on them"


class StackReader(NamedTuple):
    """What in a file depends on its return addresses. sign: what shows it."""

    stacks: Stacks
    sign: str


_GO_SECTION = re.compile(rb"gopclntab|^\.note\.go\.|^\.go\.buildinfo|^\.gosymtab")
_GO_TEXTS = re.compile(rb"\xff Go buildinf:"), re.compile(rb"goroutines are asleep - deadlock!")
"""What `go version` looks for, and what its runtime says: where sections have other names."""
_GO_TABLE = {
    "<": (re.compile(rb"\xff\xff\xff\0\0[\1\2\4][\4\x08]"), 1),
    ">": (re.compile(rb"\xff\xff\xff[\xf0\xf1\xfa\xfb]\0\0[\1\2\4][\4\x08]"), 0),
}
"""Its table of functions (pclntab), by byte order: a number for the version, two zeros, the least
instruction and a pointer in bytes. How much of it is before that: a pattern that begins with one
byte of several would be slow."""
_GO_VERSIONS, _MOST_FUNCTIONS = range(0xFFFFFFF0, 0xFFFFFFFC), 1 << 26
_SIGNS = {
    Stacks.GO: rb"runtime\.morestack|runtime\.goexit",
    Stacks.UNWINDS: rb"__cxa_throw|__cxa_rethrow|_Unwind_RaiseException|_Unwind_Resume_or_Rethrow"
    rb"|_personality_(?:v|sj|seh)\d|_eh_personality|__crystal_personality|objc_exception_throw"
    rb"|libstdc\+\+\.so\.\d+|libc\+\+(?:abi)?\.so\.\d+",
    # OCaml, GHC, GraalVM, .NET
    Stacks.SCANS: rb"caml_frametable|stg_upd_frame_info|graal_create_isolate|RhpReversePInvoke",
    # Boost, Ruby, PHP, libco, libcoro, QEMU
    Stacks.SWITCHES: rb"swapcontext|makecontext|setcontext|jump_fcontext|coroutine_transfer"
    rb"|zend_fiber_switch_context|co_switch|coro_transfer|qemu_coroutine_switch",
}
_SIGN = re.compile(b"(?:%b)[\0@]" % b"|".join(b"(%b)" % sign for sign in _SIGNS.values()))
"""In a table of names, each kind as a group."""
_C_PERSONALITY = b"__gcc_personality_v0"
_OF_C = re.compile(rb"(?:%b|GLIBC_PRIVATE)[\0@]" % _C_PERSONALITY)
"""C that cleans up when its thread is cancelled, and the C library's own parts, whose unwinding is
that: nothing else is thrown there."""
_SWITCHES_FOR_OTHERS = re.compile(rb"(?:GLIBC_PRIVATE|ASYNC_start_job)[\0@]")
"""The C library, and OpenSSL, which does it where an engine asks for it."""
_PERSONALITY = re.compile(rb"\0\0\0\0[\x01\x03]z[A-Z]*P[A-Z]*\0")
"""In .eh_frame: a language has a say in unwinding."""


class Elf:
    """An ELF file's functions. Raises Gone (no such file) and Unsupported (it is none)."""

    def __init__(self, path: Path | str, seconds: float = SECONDS) -> None:
        self.path, self._seconds = str(path), seconds
        self._reader: list[StackReader | None] = []
        self._identity: tuple[int, ...] = ()
        vars(self).update(self._look(self._headers))

    # -- the file --------------------------------------------------------------------------------

    def _look(self, what: Callable[[_File], T]) -> T:
        """Opens the file for a moment. Raises Gone and Unsupported."""
        shown = printable(self.path)
        try:
            return patience.within(self._seconds, partial(self._opened, what))
        except OSError as refused:
            if no_such_file(refused.errno):
                raise Gone(f"there is no file {shown}") from None
            why = f"{shown} cannot be read: {in_words(refused)}"
            raise Unsupported(why, errno=refused.errno or 0) from None
        except (struct.error, ValueError, OverflowError):
            raise Unsupported(f"{shown} is no program or library (ELF)") from None

    def _opened(self, what: Callable[[_File], T]) -> T:
        with _opened(self.path) as file:
            if self._identity not in ((), file.identity):
                raise ValueError("another file by now")
            self._identity = file.identity
            return what(file)

    def _headers(self, file: _File) -> dict[str, Any]:
        """What is known of it from now on."""
        magic = file.part(0, 16).ljust(16, b"\0")
        if magic[:4] != b"\x7fELF" or magic[4] not in _CLASSES or magic[5] not in (1, 2):
            raise ValueError("no ELF")
        self._wide, layout = magic[4] == 2, _CLASSES[magic[4]]
        order = "<" if magic[5] == 1 else ">"
        self._layout = order + layout.symbol
        header = struct.Struct(order + layout.header)
        _, _, _, _, segments_at, sections_at, _, _, each, count, size, sections, names = (
            header.unpack(file.part(16, header.size))
        )
        segments = list(file.records(order + layout.segment, segments_at, each, count))
        self.segments = tuple(self._segment(p) for p in segments if p[0] == _LOAD)
        notes = [self._segment(p) for p in segments if p[0] == _NOTE]
        self._go_note = any(
            _GO_NOTE.search(file.part(n.offset, min(n.size, _CHUNK))) for n in notes[:64]
        )
        described = list(file.records(order + layout.section, sections_at, size, sections))
        self._tables = tuple(_tables(described))
        self._sections = dict(_named_sections(file, described, names))
        return vars(self)

    def _segment(self, p: tuple[int, ...]) -> Segment:
        """64 bits: type, flags, offset, address...; 32: type, offset, address..."""
        return Segment(p[2], p[3], p[5]) if self._wide else Segment(p[1], p[2], p[4])

    # -- by name ---------------------------------------------------------------------------------

    def named(self, name: str) -> list[Symbol]:
        """The functions of a name, one for each address; only visible ones where there are some.

        A library may have several versions of a function under one name.
        """
        found = self._look(partial(self._called_so, name))
        visible = [s for s in found.values() if s.visible]
        return visible or list(found.values())

    def _called_so(self, name: str, file: _File) -> dict[int, Symbol]:
        return {s.address: s for s in self._called(file, name)}

    def _called(self, file: _File, name: str) -> Iterator[Symbol]:
        # Some linkers write a symbol's version behind it.
        pattern = re.compile(re.escape(os.fsencode(name)) + rb"[\0@]")
        for table in self._tables:
            hits = islice(file.search(pattern, table.names), _MOST_PLACES)
            places = {at - table.names.at for at, _ in hits}
            if places:
                for entry in self._entries(file, table):
                    if entry[0] in places and (symbol := self._made(entry, name)):
                        yield symbol

    def names(self) -> frozenset[str]:
        """The functions' names, as many as are looked through."""
        return self._look(self._names)

    def _names(self, file: _File) -> frozenset[str]:
        names: set[str] = set()
        left = _MOST_SUGGESTED
        for symbol in self._symbols(file):
            names.add(symbol.name)
            left -= len(symbol.name)
            if left < 0:
                break
        return frozenset(names)

    def _symbols(self, file: _File) -> Iterator[Symbol]:
        """Functions with a name, from both tables; most are in both, if in the first."""
        for table in self._tables:
            names = file.kept(table.names)
            for entry in self._entries(file, table):
                if (symbol := self._made(entry, "")) and (name := _text(names, entry[0])):
                    yield symbol._replace(name=name)

    def _entries(self, file: _File, table: Table) -> Iterator[tuple[int, ...]]:
        symbol = struct.Struct(self._layout)
        each = symbol.size
        size = min(table.symbols.size // each, MOST_SYMBOLS) * each
        chunk = _CHUNK // each * each
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
        """Where in the file a linked address is."""
        for s in self.segments:
            if s.address <= address < s.address + s.size:
                return address - s.address + s.offset
        return None

    def function_at(self, offset: int) -> str | None:
        """The function that the code at a place in the file belongs to."""
        for s in self.segments:
            if s.offset <= offset < s.offset + s.size:
                return self._by_address().covering(offset - s.offset + s.address)
        return None

    def _by_address(self) -> _Index:
        index = _indexes.get(self)
        if index is None:
            try:
                index = self._look(self._indexed)
            except (Gone, Unsupported):
                index = _Index()
            _indexes.put(self, index)
        return index

    def _indexed(self, file: _File) -> _Index:
        index = _Index()
        for table in self._tables:
            index.names.append(file.kept(table.names))
            for entry in islice(self._entries(file, table), _MOST_INDEXED):
                if symbol := self._made(entry, ""):
                    index.add(symbol, entry[0])
        index.sort()
        return index

    # -- what reads its stacks -------------------------------------------------------------------

    @property
    def stack_reader(self) -> StackReader | None:
        """What in it reads return addresses, if anything does. Raises Gone and Unsupported."""
        if not self._reader:
            self._reader.append(self._look(self._reads_stacks))
        return self._reader[0]

    def _reads_stacks(self, file: _File) -> StackReader | None:
        for name in self._sections:
            if _GO_SECTION.search(name):
                return StackReader(Stacks.GO, printable(_decoded(name)))
        if self._go_note:
            return StackReader(Stacks.GO, "a note of Go's linker")
        signs = self._signs(file)
        if Stacks.GO in signs:
            return StackReader(Stacks.GO, signs[Stacks.GO])
        if self._has_go_code(file):
            return StackReader(Stacks.GO, "what Go's linker writes")
        if self._mentions(file, _SWITCHES_FOR_OTHERS):
            signs.pop(Stacks.SWITCHES, None)
        first = next((StackReader(kind, signs[kind]) for kind in Stacks if kind in signs), None)
        return first or self._unwinds_without_a_name(file)

    def _has_go_code(self, file: _File) -> bool:
        """Also where sections have other names, and there is no build id."""
        whole, order = Span(0, min(file.size, _MOST_CODE)), self._layout[0]
        if any(True for text in _GO_TEXTS for _ in file.search(text, whole)):
            return True
        pattern, before = _GO_TABLE[order]
        return any(_is_go_table(file, at - before, order) for at, _ in file.search(pattern, whole))

    def _signs(self, file: _File) -> dict[Stacks, str]:
        """The first of each kind."""
        signs: dict[Stacks, str] = {}
        found = (hit for t in self._tables for hit in file.search(_SIGN, t.names))
        for at, match in islice(found, _MOST_PLACES):
            kind = tuple(_SIGNS)[(match.lastindex or 1) - 1]
            name = _whole_name(file, at, match[0])
            if kind is Stacks.UNWINDS and name.endswith(_C_PERSONALITY):
                continue
            if kind is Stacks.SWITCHES and name.strip(b"_") != match[0][:-1]:
                continue  # the end of another name
            signs.setdefault(kind, printable(_decoded(name)))
        return signs

    def _mentions(self, file: _File, pattern: re.Pattern[bytes]) -> bool:
        return any(True for t in self._tables for _ in file.search(pattern, t.names))

    def _unwinds_without_a_name(self, file: _File) -> StackReader | None:
        """A library with an unwinder inside, whose names are gone, has its tables at least."""
        if self._mentions(file, _OF_C):
            return None
        for name, span in self._sections.items():
            if name.startswith(b".gcc_except_table") and span.size:
                return StackReader(Stacks.UNWINDS, ".gcc_except_table")
            if name == b".eh_frame" and any(True for _ in file.search(_PERSONALITY, span)):
                return StackReader(Stacks.UNWINDS, "a personality in .eh_frame")
        return None


class _Index:
    """Functions by address. Of several at one: one that is visible, and among these the first."""

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self._starts, self._sizes = array("Q"), array("Q")
        self._tables, self._places = array("B"), array("L")
        self._hidden = array("B")

    def add(self, symbol: Symbol, place: int) -> None:
        self._starts.append(symbol.address)
        self._sizes.append(symbol.size or _LARGEST)  # what was written in assembly may have none
        self._tables.append(len(self.names) - 1)
        self._places.append(place)
        self._hidden.append(not symbol.visible)

    def sort(self) -> None:
        starts, hidden = self._starts, self._hidden
        order = array("L", sorted(range(len(starts)), key=lambda i: starts[i] << 1 | hidden[i]))
        self._starts, self._sizes, self._tables, self._places = (
            array(a.typecode, map(a.__getitem__, order))
            for a in (self._starts, self._sizes, self._tables, self._places)
        )
        self._hidden = array("B")

    def covering(self, address: int) -> str | None:
        n = bisect_right(self._starts, address) - 1
        if n < 0:
            return None
        n = bisect_left(self._starts, self._starts[n])  # the first of those at its address
        if address - self._starts[n] >= self._sizes[n]:
            return None
        return _text(self.names[self._tables[n]], self._places[n])[:_SHOWN] or None

    @property
    def bytes(self) -> int:
        return sum(map(len, self.names)) + 25 * len(self._starts)


class _Indexes:
    """Those that were used last, as many as fit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Elf, _Index] = OrderedDict()

    def get(self, file: Elf) -> _Index | None:
        with self._lock:
            if file in self._kept:
                self._kept.move_to_end(file)
            return self._kept.get(file)

    def put(self, file: Elf, index: _Index) -> None:
        with self._lock:
            self._kept[file] = index
            while len(self._kept) > 1 and (
                len(self._kept) > _MOST_INDEXES
                or sum(i.bytes for i in self._kept.values()) > _MOST_INDEX_BYTES
            ):
                self._kept.popitem(last=False)


_indexes = _Indexes()


class _File:
    """A file that is open. Only regular ones are, and no more of one is read than is bounded."""

    def __init__(self, fd: int) -> None:
        about = os.fstat(fd)
        self._fd, self.size = fd, about.st_size
        self.identity = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)

    def part(self, at: int, size: int) -> bytes:
        if not 0 <= size <= _MOST_KEPT:
            raise ValueError("too large")
        return os.pread(self._fd, size, at)

    def kept(self, span: Span) -> bytes:
        """As much of it as may be kept."""
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
        """Where in the file it is found; nothing that is found is longer than `_LONGEST`."""
        end = span.at + min(span.size, max(MOST_NAMES, _MOST_CODE), max(self.size - span.at, 0))
        for at in range(span.at, end, _CHUNK):
            raw = self.part(at, min(_CHUNK + _LONGEST, end - at))
            for match in pattern.finditer(raw):
                if match.start() >= _CHUNK:
                    break
                yield at + match.start(), match


@contextmanager
def _opened(path: str) -> Iterator[_File]:
    """No device and no pipe is opened: some would wait, or do something."""
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        about = os.fstat(place)
        if not stat.S_ISREG(about.st_mode) or about.st_size < _SMALLEST:
            raise ValueError("no file")
        fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.close(place)
    try:
        yield _File(fd)
    finally:
        os.close(fd)


def _tables(sections: list[tuple[int, ...]]) -> Iterator[Table]:
    """One of each kind. A section: name, type, flags, address, offset, size, link..."""
    for kind in (_SYMTAB, _DYNSYM):
        found = next((s for s in sections if s[1] == kind), None)
        if found is not None:
            names = sections[found[6]] if found[6] < len(sections) else None
            if names is None:
                raise ValueError("no names")
            yield Table(Span(found[4], found[5]), Span(names[4], min(names[5], MOST_NAMES)))


def _named_sections(
    file: _File, sections: list[tuple[int, ...]], names: int
) -> Iterator[tuple[bytes, Span]]:
    if names >= len(sections):
        return
    raw = file.part(sections[names][4], min(sections[names][5], _CHUNK))
    for s in sections:
        name = raw[s[0] : s[0] + 64].partition(b"\0")[0]
        yield name, Span(s[4], s[5] if s[1] != 8 else 0)  # .bss and the like are not in the file


_GO_NOTE = re.compile(rb"\x04\0\0\0....\x04\0\0\0Go\0\0|\0\0\0\x04....\0\0\0\x04Go\0\0", re.DOTALL)
"""Lengths of the owner's name and of the note, its type (the build id), its owner."""


def _is_go_table(file: _File, at: int, order: str) -> bool:
    """Whether it begins there, and has a number of functions that can be."""
    if at < 0 or at % 8:
        return False
    raw = file.part(at, 16)
    pointer = "IQ"[raw[7] == 8] if len(raw) == 16 else ""
    if not pointer:
        return False
    version, functions = struct.unpack_from(f"{order}I4x{pointer}", raw)
    return version in _GO_VERSIONS and 0 < functions <= _MOST_FUNCTIONS


def _whole_name(file: _File, at: int, found: bytes) -> bytes:
    """A name from its beginning, where only its end was looked for."""
    before = file.part(max(at - 64, 0), min(at, 64))
    return before.rpartition(b"\0")[2] + found.rstrip(b"\0@")


def _text(names: bytes, at: int) -> str:
    """Nothing where it has no end."""
    name, end, _ = names[at : at + _LONGEST].partition(b"\0")
    return _decoded(name.partition(b"@")[0]) if end else ""


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


class _Files:
    """Those that were read last, by what they are: one may have many names."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, ...], Elf] = OrderedDict()

    def get(self, identity: tuple[int, ...], path: str) -> Elf | None:
        """The name that it was found by now is the one that is still there."""
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


_files = _Files()


def read(path: Path | str, seconds: float = SECONDS) -> Elf:
    """The file as it is now; what was read of it before is used again. Raises as `Elf` does.

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
