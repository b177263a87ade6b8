"""Text from numbers and names, for people: the only place where either is formatted.

Everything here is pure. No 64-bit counter takes more than 7 cells; text and identifiers are never
cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

DASH = "-"
_SCALE = ("", "k", "M", "G", "T", "P", "E")
_TIME = (
    (1, "ns"),
    (1_000, "us"),
    (1_000_000, "ms"),
    (1_000_000_000, "s"),
    (3_600_000_000_000, "h"),
    (86_400_000_000_000, "d"),
)


class Unit(StrEnum):
    """Unit of a column, which is also its `unit` in the JSON output."""

    TEXT = "text"
    COUNT = "count"
    PACKETS = "packets"
    BYTES = "bytes"
    NS = "ns"
    US = "us"
    PERCENT = "percent"
    NUMBER = "number"
    """An identifier (pid, port, program id): shown digit by digit, never scaled."""


def count(value: float | None) -> str:
    """Format a count or a rate: 0, 7, 0.3, 999, 1.2k, 34.5M."""
    if value is None:
        return DASH
    if value and abs(value) < 9.95 and value != int(value):
        return f"{value:.1f}"
    return _scaled(value, 1000)


def per_second(value: float | None, noun: str) -> str:
    """Format a rate with what it counts: "12 connects/s", "1 connect/s"."""
    said = count(value)
    return f"{said} {noun}{'' if said == '1' else 's'}/s"


def process(comm: object, pid: object) -> str:
    """Name a process: "nginx[811]"; without a number if its PID is not known here (None or 0).

    0: it is of another PID namespace.
    """
    return f"{comm or '?'}[{pid}]" if pid else f"{comm or '?'}"


def octets(value: float | None, *, bits: bool = False) -> str:
    """Format bytes (1024-based, as in `free` and btop) or bits (1000-based, as links are sold)."""
    if value is None:
        return DASH
    return _scaled(value * 8, 1000) + "b" if bits else _scaled(value, 1024) + "B"


def duration(ns: float | None) -> str:
    """Format nanoseconds: 850ns, 12.3us, 4.5ms, 2.1s, 120s, 3.5h, 12.0d."""
    if ns is None:
        return DASH
    for factor, unit in reversed(_TIME):
        if abs(ns) >= factor * 0.9995 or factor == 1:
            scaled = ns / factor
            digits = 0 if factor == 1 or abs(scaled) >= 99.95 else 1
            return f"{scaled:.{digits}f}{unit}"
    raise AssertionError("the last unit always serves")


def percent(value: float | None) -> str:
    """Format a share of one CPU or of a whole: 0.04%, 3.1%, 120%."""
    if value is None:
        return DASH
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 0.995 or value == 0 else 2
    return f"{value:.{digits}f}%"


def show(value: object, unit: Unit, *, bits: bool = False) -> str:
    """Format any column's value by its unit. None is a dash."""
    if value is None:
        return DASH
    if isinstance(value, str) or not isinstance(value, int | float):
        return printable(str(value))
    match unit:
        case Unit.BYTES:
            return octets(value, bits=bits)
        case Unit.NS:
            return duration(value)
        case Unit.US:
            return duration(value * 1000)
        case Unit.PERCENT:
            return percent(value)
        case Unit.NUMBER | Unit.TEXT:
            return str(value)
        case _:
            return count(value)


def printable(text: str) -> str:
    """Return text that others chose (a comm, an interface, a path), harmless to any terminal.

    Control, format, surrogate and unassigned characters and line separators become "?", so the
    length shown is the real one. Wide characters stay.
    """
    if text.isprintable():  # which leaves out some that do no harm
        return text
    return "".join("?" if _harmful(unicodedata.category(c)) else c for c in text)


_NOT_UTF_8 = re.compile("[\ud800-\udfff]")


def whole(value: Any) -> Any:
    """Return a value ready for JSON: text as it is, with "?" for bytes that are not UTF-8.

    Lone surrogates would be refused by other readers of JSON.
    """
    if isinstance(value, str):
        return value if value.isascii() else _NOT_UTF_8.sub("?", value)
    if isinstance(value, Mapping):
        return {whole(key): whole(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [whole(one) for one in value]
    return value


def _harmful(category: str) -> bool:
    return category[0] == "C" or category in ("Zl", "Zp")


def _scaled(value: float, base: int) -> str:
    step = 0
    while abs(value) >= base - 0.5 and step < len(_SCALE) - 1:
        value /= base
        step += 1
    if step == 0:
        return f"{value:.0f}"
    return f"{value:.{1 if abs(value) < 99.95 else 0}f}{_SCALE[step]}"


_FEW = 500
"""Names that are all compared with a misspelt one."""


def did_you_mean(name: str, names: Collection[str]) -> str:
    """Return the names spelled most alike, as the end of a sentence; "" where none is close."""
    import difflib  # only where something is misspelt

    if len(names) > _FEW:
        names = _in_common(name, names)
    close = difflib.get_close_matches(name, names, 3, 0.6)
    return f"; similar names: {', '.join(map(printable, close))}" if close else ""


def _in_common(name: str, names: Collection[str]) -> list[str]:
    """Return names that begin alike or share a part: difflib takes a second for 100,000."""
    low, least = name.lower(), len(name) * 2 // 3
    stem = low[: max(len(low) // 2, 3)]
    return [
        n
        for n in names
        if least <= len(n) <= len(name) + 12 and (stem in n.lower() or n.lower()[:2] == low[:2])
    ]


def no_such(what: str, name: str, names: Collection[str]) -> str:
    """Return a sentence: there is nothing of that name; similar names, or else all of them."""
    near = did_you_mean(name, names) or f"; {what}s are {', '.join(map(printable, names))}"
    return f"there is no {what} {quoted(printable(name))}{near}"


def quoted(text: str, most: int = 40) -> str:
    """Return a user's text for use in a sentence, cut to `most` characters."""
    return repr(text if len(text) <= most else f"{text[:most]}...")
