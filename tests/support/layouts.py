"""The maps that a rung's C declares, and how entries are laid out: read from the C, not compiled.

As bcc describes them (`kernel.maps.Layout` takes it). `tests/kernel/compile/test_layouts.py` holds
this to what bcc says of every rung.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_TYPES = {
    "u8": "unsigned char", "u16": "unsigned short", "u32": "unsigned int",
    "u64": "unsigned long long", "s64": "long long", "s32": "int", "int": "int", "char": "char",
    "__u64": "unsigned long long",
}  # fmt: skip
_WIDTHS = {"unsigned char": 1, "char": 1, "unsigned short": 2, "unsigned int": 4, "int": 4}
_STRUCT = re.compile(r"struct (\w+) \{([^{}]*)\}")
_TABLE = re.compile(r'BPF_TABLE\(\s*"(\w+)",\s*([^,]+?),\s*([^,]+?),\s*(\w+),\s*([^)]+)\)')
_OTHER = re.compile(r"BPF_(HASH|ARRAY|PERCPU_ARRAY|QUEUE)\((\w+)((?:,[^,)]+)*)\)")
_KINDS = {
    "hash": 1, "array": 2, "percpu_hash": 5, "percpu_array": 6, "stacktrace": 7, "lru_hash": 9,
    "lru_percpu_hash": 10, "queue": 22,
}  # fmt: skip
_STACK_DEPTH = 127


Members = list[tuple[str, str, int | None]]
"""Name, type and, of an array, how many."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A map: its name, its type's number, entries at most, and what bcc says of key and value."""

    name: str
    type: int
    most: int
    key: str
    key_size: int
    value: str
    value_size: int


def declared(source: str) -> Iterator[Declared]:
    """Every map with rows that a source declares, macros and all."""
    text = _expanded(source)
    structs = {name: _members(body) for name, body in _STRUCT.findall(text)}
    structs["bpf_stacktrace"] = [("ip", "unsigned long long", _STACK_DEPTH)]
    for kind, key, value, name, most in _maps(text):
        yield Declared(
            name,
            _KINDS[kind],
            _number(most),
            *_described(key, structs),
            *_described(value, structs),
        )


def _maps(text: str) -> Iterator[tuple[str, str, str, str, str]]:
    yield from ((k, key, value, name, most) for k, key, value, name, most in _TABLE.findall(text))
    for kind, name, rest in _OTHER.findall(text):
        given = [part.strip() for part in rest.split(",")[1:]]
        match kind:
            case "HASH":
                key, value, most = (*given, *("u64", "u64", "10240")[len(given) :])
                yield "hash", key, value, name, most
            case "QUEUE":
                yield "queue", "", given[0], name, given[1]
            case _:
                yield kind.lower(), "int", given[0], name, given[1]


def _expanded(source: str) -> str:
    """Without comments, and with the numbers and types that are defined in the text put in."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.DOTALL)
    for name, value in re.findall(r"^#define (\w+) (\d+|struct \w+)$", text, re.M):
        text = re.sub(rf"(?<!#define )\b{name}\b", value, text)
    return text


def _number(text: str) -> int:
    return eval(text, {"__builtins__": {}})  # "2 * 64": our own C


def _members(body: str) -> Members:
    found: Members = []
    for line in filter(None, (part.strip() for part in body.split(";"))):
        type_, *names = re.split(r"\s+(?=\w+(?:\[|,|$))|,\s*", line)
        for name in names:
            bare, bracket, extent = name.partition("[")
            count = _number(extent.rstrip("]")) if bracket else None
            found.append((bare, _TYPES.get(type_, type_), count))
    return found


def _described(type_: str, structs: dict[str, Members]) -> tuple[str, int]:
    if not type_:
        return "", 0
    if not type_.startswith("struct "):
        plain = _TYPES[type_]
        return json.dumps(plain), _WIDTHS.get(plain, 8)
    name = type_.removeprefix("struct ")
    members: list[list[object]] = []
    at = widest = 0
    for member, kind, count in structs[name]:
        width = _WIDTHS.get(kind, 8)
        widest = max(widest, width)
        at = _padded(members, at, width)
        members.append([member, kind, *([[count]] if count is not None else [])])
        at += width * (count or 1)
    at = _padded(members, at, widest)
    return json.dumps([name, members, "struct_packed"]), at


def _padded(members: list[list[object]], at: int, width: int) -> int:
    gap = -at % width
    if gap:
        members.append([f"__pad_{len(members)}", "char", [gap]])
    return at + gap


assert struct.calcsize("=Q") == 8  # BPF's own, whatever this machine is
