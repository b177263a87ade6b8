"""Readers of return addresses in a program or library.

A probe on the return of a function replaces the address that the function returns to: where
something reads it, the process does not survive that.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from enum import Enum
from itertools import islice
from typing import NamedTuple

from probes.kernel.elf.file import CHUNK, MOST_CODE, File, Span, SymbolTable, decoded
from probes.units import printable

_MOST_PLACES = 1 << 12
"""Names looked at: no linker writes a table with more."""


class StackUse(Enum):
    """A use of its stacks by a program that forbids replacing a return address."""

    GO = "moves them"
    UNWINDS = "unwinds them when something is thrown"
    SWITCHES = "goes from one to another within a function"
    SCANS = "looks for live values on them"


class StackReader(NamedTuple):
    """Part of a file that depends on its return addresses. sign: what shows it."""

    stacks: StackUse
    sign: str


_GO_SECTION = re.compile(rb"gopclntab|^\.note\.go\.|^\.go\.buildinfo|^\.gosymtab")
_GO_TEXTS = re.compile(rb"\xff Go buildinf:"), re.compile(rb"goroutines are asleep - deadlock!")
"""Texts that `go version` looks for, and of Go's runtime, for renamed sections."""
_GO_TABLE = {
    "<": (re.compile(rb"\xff\xff\xff\0\0[\1\2\4][\4\x08]"), 1),
    ">": (re.compile(rb"\xff\xff\xff[\xf0\xf1\xfa\xfb]\0\0[\1\2\4][\4\x08]"), 0),
}
"""Its table of functions (pclntab), by byte order: a number for the version, two zeros, the least
instruction and a pointer in bytes. How much of it is before that: a pattern that begins with one
byte of several would be slow."""
_GO_VERSIONS, _MOST_FUNCTIONS = range(0xFFFFFFF0, 0xFFFFFFFC), 1 << 26
_SIGNS = {
    StackUse.GO: rb"runtime\.morestack|runtime\.goexit",
    StackUse.UNWINDS: rb"__cxa_throw|__cxa_rethrow|_Unwind_RaiseException|_Unwind_Resume_or_Rethrow"
    rb"|_personality_(?:v|sj|seh)\d|_eh_personality|__crystal_personality|objc_exception_throw"
    rb"|libstdc\+\+\.so\.\d+|libc\+\+(?:abi)?\.so\.\d+",
    # OCaml, GHC, GraalVM, .NET
    StackUse.SCANS: rb"caml_frametable|stg_upd_frame_info|graal_create_isolate|RhpReversePInvoke",
    # Boost, Ruby, PHP, libco, libcoro, QEMU
    StackUse.SWITCHES: rb"swapcontext|makecontext|setcontext|jump_fcontext|coroutine_transfer"
    rb"|zend_fiber_switch_context|co_switch|coro_transfer|qemu_coroutine_switch",
}
_SIGN = re.compile(b"(?:%b)[\0@]" % b"|".join(b"(%b)" % sign for sign in _SIGNS.values()))
"""Signs in a table of names, each kind as a group."""
_C_PERSONALITY = b"__gcc_personality_v0"
_OF_C = re.compile(rb"(?:%b|GLIBC_PRIVATE)[\0@]" % _C_PERSONALITY)
"""Signs of C with cleanup on thread cancellation, and of the C library's parts, which unwind for
that: nothing else is thrown there."""
_SWITCHES_FOR_OTHERS = re.compile(rb"(?:GLIBC_PRIVATE|ASYNC_start_job)[\0@]")
"""Signs of the C library, and of OpenSSL, which switches where an engine asks for it."""
_PERSONALITY = re.compile(rb"\0\0\0\0[\x01\x03]z[A-Z]*P[A-Z]*\0")
"""A personality in .eh_frame: a language takes part in unwinding."""


_GO_NOTE = re.compile(rb"\x04\0\0\0....\x04\0\0\0Go\0\0|\0\0\0\x04....\0\0\0\x04Go\0\0", re.DOTALL)
"""A note: lengths of the owner's name and of the note, type (the build id), owner."""


def has_go_note(file: File, notes: Iterable[Span]) -> bool:
    """Return whether one of these segments has Go's build id."""
    some = islice(notes, 64)
    return any(_GO_NOTE.search(file.part(n.at, min(n.size, CHUNK))) for n in some)


class Search:
    """One search. sections: by name. order: of bytes, "<" or ">"."""

    def __init__(
        self, file: File, order: str, tables: Iterable[SymbolTable], sections: Mapping[bytes, Span]
    ) -> None:
        self._file, self._order = file, order
        self._tables, self._sections = tuple(tables), sections

    def reader(self, *, go_note: bool) -> StackReader | None:
        """Return what reads return addresses, if anything does."""
        for name in self._sections:
            if _GO_SECTION.search(name):
                return StackReader(StackUse.GO, printable(decoded(name)))
        if go_note:
            return StackReader(StackUse.GO, "a note by Go's linker")
        signs = self._signs()
        if StackUse.GO in signs:
            return StackReader(StackUse.GO, signs[StackUse.GO])
        if self._has_go_code():
            return StackReader(StackUse.GO, "a table by Go's linker")
        if self._mentions(_SWITCHES_FOR_OTHERS):
            signs.pop(StackUse.SWITCHES, None)
        first = next((StackReader(kind, signs[kind]) for kind in StackUse if kind in signs), None)
        return first or self._unwinds_without_a_name()

    def _has_go_code(self) -> bool:
        """Return whether it has Go code, even with renamed sections and no build id."""
        file, whole = self._file, Span(0, min(self._file.size, MOST_CODE))
        if any(True for text in _GO_TEXTS for _ in file.search(text, whole)):
            return True
        pattern, before = _GO_TABLE[self._order]
        places = (at - before for at, _ in file.search(pattern, whole))
        return any(_is_go_table(file, at, self._order) for at in places)

    def _signs(self) -> dict[StackUse, str]:
        """Return the first sign of each kind."""
        signs: dict[StackUse, str] = {}
        found = (hit for t in self._tables for hit in self._file.search(_SIGN, t.names))
        for at, match in islice(found, _MOST_PLACES):
            kind = tuple(_SIGNS)[(match.lastindex or 1) - 1]
            name = _whole_name(self._file, at, match[0])
            if kind is StackUse.UNWINDS and name.endswith(_C_PERSONALITY):
                continue
            if kind is StackUse.SWITCHES and name.strip(b"_") != match[0][:-1]:
                continue  # the end of another name
            signs.setdefault(kind, printable(decoded(name)))
        return signs

    def _mentions(self, pattern: re.Pattern[bytes]) -> bool:
        return any(True for t in self._tables for _ in self._file.search(pattern, t.names))

    def _unwinds_without_a_name(self) -> StackReader | None:
        """Find a library's unwinder whose names are stripped, by its tables."""
        if self._mentions(_OF_C):
            return None
        for name, span in self._sections.items():
            if name.startswith(b".gcc_except_table") and span.size:
                return StackReader(StackUse.UNWINDS, ".gcc_except_table")
            if name == b".eh_frame" and any(True for _ in self._file.search(_PERSONALITY, span)):
                return StackReader(StackUse.UNWINDS, "a personality in .eh_frame")
        return None


def _is_go_table(file: File, at: int, order: str) -> bool:
    """Return whether a Go table begins there, with a plausible number of functions."""
    if at < 0 or at % 8:
        return False
    raw = file.part(at, 16)
    pointer = "IQ"[raw[7] == 8] if len(raw) == 16 else ""
    if not pointer:
        return False
    version, functions = struct.unpack_from(f"{order}I4x{pointer}", raw)
    return version in _GO_VERSIONS and 0 < functions <= _MOST_FUNCTIONS


def _whole_name(file: File, at: int, found: bytes) -> bytes:
    """Return the whole name, where only its end was searched for."""
    before = file.part(max(at - 64, 0), min(at, 64))
    return before.rpartition(b"\0")[2] + found.rstrip(b"\0@")
