"""What tracefs tells of a tracepoint: how its record is laid out, and its values' names.

Where there is BTF it knows this, too, and for less privilege; here is what is left without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

ROOTS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_FIELD = re.compile(r"field:[^;]*?(\w+)(\[[^;]*)?;\s*offset:(\d+);\s*size:(\d+);")
_SYMBOL = re.compile(r'\{ (0x[0-9a-f]+|\d+), "(\w+)" \}')
_INTEGERS = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}
_PREFIX = "trace_event_raw_"


def record(type: str) -> str:
    """C of the kernel's `struct trace_event_raw_...` for programs at perf tracepoints.

    Integers keep their size, not their sign; whatever is no integer is an array of bytes. "" for
    other types, and where tracefs does not tell.
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


@cache
def symbols(category: str, name: str, field: str) -> Mapping[int, str] | None:
    """A field's values by number, as the tracepoint prints them; empty where it has no such field.

    None where tracefs does not tell: it is not mounted, or not for this user.
    """
    text = _format(category, name)
    if not text:
        return None
    _, _, printed = text.partition(f"__print_symbolic(REC->{field}, ")
    pairs = _SYMBOL.findall(printed.partition(")")[0])
    return MappingProxyType({int(number, 0): symbol for number, symbol in pairs})


def _format(category: str, name: str) -> str:
    for root in ROOTS:
        try:
            for file in sorted((root / "events").glob(f"{category}/{name}/format")):
                return file.read_text()
        except OSError:
            continue
    return ""
