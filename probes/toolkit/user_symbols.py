"""What code in a process is called: places in its memory to functions of the files behind them.

A process is looked at while it lives; what its stacks mean cannot be told afterwards. Its files
are those that it sees itself, so a container's are found as well. Root, or the same user.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from pathlib import Path, PurePath
from typing import NamedTuple

from probes.errors import ProbeError
from probes.kernel import elf

_MOST_PROCESSES = 256
"""Whose maps are kept; each has some kilobytes."""


class Mapping(NamedTuple):
    """A part of a process's memory. offset: where it is in the file `path`, "" for no file's."""

    start: int
    end: int
    offset: int
    path: str


class UserSymbols:
    """Names of places in processes. Their maps are read once each, and again for what is new."""

    def __init__(self) -> None:
        self._maps: OrderedDict[int, tuple[Mapping, ...]] = OrderedDict()

    def name(self, pid: int, address: int) -> str:
        """A function, or the file's name in brackets where it names none there."""
        place = self._place(pid, address)
        if place is None:
            return "[unknown]" if self._maps.get(pid) else "[process gone]"
        if not place.path.startswith("/"):
            return place.path if place.path.startswith("[") else "[anon]"
        file = PurePath(place.path.removesuffix(" (deleted)")).name
        return _function(pid, place, address) or f"[{file}]"

    def _place(self, pid: int, address: int) -> Mapping | None:
        known = self._maps.get(pid)
        place = _covering(known, address) if known is not None else None
        if place is None:
            known = maps(pid) or known
            if known is None:
                return None
            self._maps[pid] = known
            place = _covering(known, address)
        self._maps.move_to_end(pid)
        while len(self._maps) > _MOST_PROCESSES:
            self._maps.popitem(last=False)
        return place


def _function(pid: int, place: Mapping, address: int) -> str | None:
    try:
        file = elf.read(f"/proc/{pid}/root{place.path}")
    except ProbeError:
        try:  # deleted or replaced meanwhile; while it is mapped, there is a way to it
            file = elf.read(f"/proc/{pid}/map_files/{place.start:x}-{place.end:x}")
        except ProbeError:
            return None
    return file.function_at(address - place.start + place.offset)


def maps(pid: int) -> tuple[Mapping, ...]:
    """The parts of a process's memory that may hold code; empty where it cannot be seen."""
    try:
        lines = Path("/proc", str(pid), "maps").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) >= 5 and "x" in fields[1]:
            start, _, end = fields[0].partition("-")
            path = fields[5] if len(fields) > 5 else ""
            found.append(Mapping(int(start, 16), int(end, 16), int(fields[2], 16), path))
    return tuple(found)


def _covering(known: tuple[Mapping, ...], address: int) -> Mapping | None:
    n = bisect_right(known, address, key=lambda m: m.start) - 1
    return known[n] if n >= 0 and address < known[n].end else None
