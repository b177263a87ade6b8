"""Tracepoints by tracefs: how their records are laid out, and the names of their values.

BTF, where there is one, tells this too, and for less privilege; this is for kernels without.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from probes.errors import short
from probes.kernel.outer_mounts import outer_roots
from probes.kernel.remembered import remembered

ROOTS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))

_FIELD = re.compile(r"field:[^;]*?(\w+)(\[[^;]*)?;\s*offset:(\d+);\s*size:(\d+);")
_DECLARED = re.compile(
    r"field:([^;]*?)(\w+)(\[[^;]*\])?;\s*offset:(\d+);\s*size:(\d+);\s*signed:([01]);"
)
_SYMBOL = re.compile(r'\{ (0x[0-9a-f]+|\d+), "(\w+)" \}')
_INTEGERS = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}
_PREFIX = "trace_event_raw_"


def roots() -> Iterator[Path]:
    """Yield the places where it may be mounted: here, else for the processes that started us."""
    yield from ROOTS
    if not any(map(os.path.lexists, (root / "events" for root in ROOTS))):
        yield from (outer / root.relative_to("/") for outer in outer_roots() for root in ROOTS)


def record(type: str) -> str:
    """Return C of the kernel's `struct trace_event_raw_...` for programs at perf tracepoints.

    Integers keep their size, not their sign; everything else is an array of bytes. "" for other
    types, and where tracefs is unavailable.
    """
    name = type.removeprefix(_PREFIX)
    found = _FIELD.findall(_format("*", name)) if name != type else []
    end, lines = 0, []
    for field, many, at, size in ((f, many, int(a), int(s)) for f, many, a, s in found):
        if at > end:
            lines.append(f"u8 gap_{end}[{at - end}];")
        whole = None if many else _INTEGERS.get(size)
        lines.append(f"{whole} {field};" if whole else f"u8 {field}[{size}];")
        end = at + size
    return f"struct {type} {{ {' '.join(lines)} }};\n" if lines else ""


@remembered
def symbols(category: str, name: str, field: str) -> Mapping[int, str] | None:
    """Return a field's values by number, as the tracepoint prints them; empty without such a field.

    None where tracefs is not mounted, or not readable by this user. Raises OSError where it cannot
    be read at the moment, for want of files.
    """
    text = _format(category, name)
    if not text:
        return None
    _, _, printed = text.partition(f"__print_symbolic(REC->{field}, ")
    pairs = _SYMBOL.findall(printed.partition(")")[0])
    return MappingProxyType({int(number, 0): symbol for number, symbol in pairs})


class RecordField(NamedTuple):
    """A field of a tracepoint's record. type: its C type, arrays without their length.

    array: several in a row; far: it is elsewhere in the record (__data_loc).
    """

    name: str
    type: str
    offset: int
    size: int
    signed: bool
    array: bool
    far: bool

    @property
    def text(self) -> bool:
        """Whether it is characters."""
        return self.array and self.type.removesuffix("[]") in ("char", "const char")

    @property
    def number(self) -> bool:
        return not self.array and self.size in _INTEGERS


@remembered
def fields(category: str, name: str) -> Mapping[str, RecordField]:
    """Return a record's own fields, in their order; empty where tracefs is unavailable.

    Raises OSError as `symbols` does.
    """
    found = {}
    for type, field, many, offset, size, signed in _DECLARED.findall(_format(category, name)):
        plain = type.strip()
        far = plain.startswith("__data_loc")
        plain = plain.removeprefix("__data_loc").strip()
        if not field.startswith("common_"):
            place = (int(offset), int(size), signed == "1")
            array = bool(many) or plain.endswith("[]")
            found[field] = RecordField(field, plain, *place, array, far)
    return MappingProxyType(found)


def events() -> frozenset[str]:
    """Return every "category:name" there is; empty where tracefs is unavailable."""
    for root in roots():
        try:
            found = frozenset((root / "available_events").read_text().split())
        except OSError as refused:
            if short(refused.errno):
                raise
            continue
        if found:
            return found
    return frozenset()


def names() -> frozenset[str]:
    """Return every event's name without its category."""
    return frozenset(event.rpartition(":")[2] for event in events())


def _format(category: str, name: str) -> str:
    for root in roots():
        try:
            for file in sorted((root / "events").glob(f"{category}/{name}/format")):
                return file.read_text()
        except OSError as refused:
            if short(refused.errno):
                raise
    return ""
