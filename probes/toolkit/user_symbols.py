"""What code in a process is called: places in its memory to functions of the files behind them.

A process is looked at while it lives; what its stacks mean cannot be told afterwards. Its files
are those that it sees itself, so a container's are found as well. Root, or the same user. Whoever
runs it may have made them so that they cost, or never come: each is tried once.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from functools import partial
from pathlib import Path, PurePath
from time import monotonic
from typing import NamedTuple

from probes.errors import ProbeError
from probes.kernel import elf, patience

_MOST_PROCESSES, _MOST_FILES = 256, 1024
"""Whose maps are kept; each has some kilobytes. And files, of which little is kept."""
MOST_MAPS, MOST_BYTES, SECONDS = 1 << 14, 1 << 25, 2.0
"""Parts of one process's memory that hold code, bytes of its list, and time to read it."""

MOST_LOST, HURRIED = 10.0, 0.2
"""Seconds that slow files may take in all, and then each: stacks are read between two readings."""


class Mapping(NamedTuple):
    """A part of a process's memory. offset: where it is in the file `path`, "" for no file's.

    file: device and inode.
    """

    start: int
    end: int
    offset: int
    path: str
    file: tuple[bytes, bytes] = (b"", b"")


class UserSymbols:
    """Names of places in processes. Their maps are read once each, and again for what is new."""

    def __init__(self) -> None:
        self._maps: OrderedDict[int, tuple[Mapping, ...]] = OrderedDict()
        self._lost = 0.0
        """Seconds that files took which are not where files usually are."""
        self._files: OrderedDict[tuple[str, tuple[bytes, bytes]], elf.Elf | None] = OrderedDict()

    def name(self, pid: int, address: int) -> str:
        """A function, or the file's name in brackets where it names none there."""
        place = self._place(pid, address)
        if place is None:
            return "[unknown]" if self._maps.get(pid) else "[process gone]"
        if not place.path.startswith("/"):
            return place.path if place.path.startswith("[") else "[anon]"
        name = PurePath(place.path.removesuffix(" (deleted)")).name
        file = self._file(pid, place)
        function = file.function_at(address - place.start + place.offset) if file else None
        return function or f"[{name}]"

    def _file(self, pid: int, place: Mapping) -> elf.Elf | None:
        """A file that is mapped is the same for as long as it is."""
        key = (place.path, place.file)
        if key not in self._files:
            begin = monotonic()
            self._files[key] = _read(pid, place, SECONDS if self._lost < MOST_LOST else HURRIED)
            self._lost += (lost := monotonic() - begin) * (lost >= HURRIED)
            if len(self._files) > _MOST_FILES:
                self._files.popitem(last=False)
        return self._files[key]

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


def _read(pid: int, place: Mapping, seconds: float) -> elf.Elf | None:
    # The first way is to what is mapped, whatever is called so by now. It takes root.
    for path in (f"map_files/{place.start:x}-{place.end:x}", f"root{place.path}"):
        try:
            return elf.read(f"/proc/{pid}/{path}", seconds)
        except ProbeError:
            continue
    return None


def maps(pid: int) -> tuple[Mapping, ...]:
    """The parts of a process's memory that may hold code; empty where it cannot be seen."""
    try:
        return patience.within(SECONDS, partial(_executable, pid))
    except OSError:
        return ()


def _executable(pid: int) -> tuple[Mapping, ...]:
    found: list[Mapping] = []
    read, until = 0, monotonic() + SECONDS
    with Path("/proc", str(pid), "maps").open("rb") as lines:
        for line in lines:
            read += len(line)
            if len(found) == MOST_MAPS or read > MOST_BYTES or monotonic() > until:
                break
            fields = line.rstrip(b"\n").split(maxsplit=5)
            if len(fields) >= 5 and b"x" in fields[1]:
                start, _, end = fields[0].partition(b"-")
                path = os.fsdecode(fields[5]) if len(fields) > 5 else ""
                at = (int(start, 16), int(end, 16), int(fields[2], 16))
                found.append(Mapping(*at, path, (fields[3], fields[4])))
    return tuple(found)


def _covering(known: tuple[Mapping, ...], address: int) -> Mapping | None:
    n = bisect_right(known, address, key=lambda m: m.start) - 1
    return known[n] if n >= 0 and address < known[n].end else None
