"""Symbols of code in processes: addresses in memory to functions of the files mapped there.

A process is read while it lives; its stacks cannot be resolved afterwards. Its files are looked up
as it sees them, so a container's are found as well. Needs root, or the same user. The process's
owner may have made the files expensive or endless to read: each is tried once.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePath
from time import monotonic
from typing import NamedTuple

from probes.errors import ProbeError, passing, short
from probes.kernel import elf, patience, procfs

_MOST_PROCESSES, _MOST_FILES = 256, 1024
"""Processes whose maps are kept (some kilobytes each), and files (little is kept of them)."""
MOST_MAPS, MOST_BYTES, READ_SECONDS = 1 << 14, 1 << 25, 2.0
"""Mappings of one process that hold code, bytes of its list, and seconds to read it."""

MOST_LOST, HURRIED = 10.0, 0.2
"""Seconds for all slow files together, and then for each: stacks are read between two readings."""


class Mapping(NamedTuple):
    """A part of a process's memory.

    offset: its position in the file `path`, "" without a file. file: device and inode.
    """

    start: int
    end: int
    offset: int
    path: str
    file: tuple[bytes, bytes] = (b"", b"")


class _ProcessMaps(NamedTuple):
    """The maps of a process, as long as it is this one and runs this program."""

    image: tuple[int, ...]
    maps: tuple[Mapping, ...]


class UserSymbols:
    """Names of addresses in processes. Maps are read once each, and again for new addresses."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, _ProcessMaps] = OrderedDict()
        self._lost = 0.0
        "Seconds spent on slow files so far."
        self._files: OrderedDict[tuple[str, tuple[bytes, bytes]], elf.Elf | None] = OrderedDict()

    def names(self, pid: int, addresses: Iterable[int]) -> list[str]:
        """Return functions, or the file's name in brackets if it names none there."""
        image, known = procfs.image(pid), self._known.get(pid)
        if known is not None and image not in (None, known.image):
            del self._known[pid]  # another program, or another process
        found = [self._name(pid, image, address) for address in addresses]
        while len(self._known) > _MOST_PROCESSES:
            self._known.popitem(last=False)
        return found

    def _name(self, pid: int, image: tuple[int, ...] | None, address: int) -> str:
        place = self._place(pid, image, address)
        if place is None:
            return "[unknown]" if pid in self._known else "[process gone]"
        if not place.path.startswith("/"):
            return place.path if place.path.startswith("[") else "[anon]"
        name = PurePath(place.path.removesuffix(" (deleted)")).name
        file = self._file(pid, place)
        function = file.function_at(address - place.start + place.offset) if file else None
        return function or f"[{name}]"

    def _file(self, pid: int, place: Mapping) -> elf.Elf | None:
        """Return the symbols of a file; a mapped file stays the same while it is mapped."""
        key = (place.path, place.file)
        if key not in self._files:
            begin = monotonic()
            try:
                file = _read(pid, place, READ_SECONDS if self._lost < MOST_LOST else HURRIED)
            except ProbeError:  # the host is short of something: the next time, then
                return None
            self._files[key] = file
            self._lost += (lost := monotonic() - begin) * (lost >= HURRIED)
            if len(self._files) > _MOST_FILES:
                self._files.popitem(last=False)
        return self._files[key]

    def _place(self, pid: int, image: tuple[int, ...] | None, address: int) -> Mapping | None:
        known = self._known.get(pid)
        place = _covering(known.maps, address) if known is not None else None
        if place is None and image is not None and (there := maps(pid)):
            self._known[pid] = _ProcessMaps(image, there)
            place = _covering(there, address)
        if pid in self._known:
            self._known.move_to_end(pid)
        return place


def _read(pid: int, place: Mapping, seconds: float) -> elf.Elf | None:
    """Return the file, None where it cannot be read. Raises ProbeError where that may pass."""
    # The first way is to what is mapped, whatever is called so by now. It takes root.
    for path in (f"map_files/{place.start:x}-{place.end:x}", f"root{place.path}"):
        try:
            return elf.read(f"/proc/{pid}/{path}", seconds)
        except ProbeError as refused:
            if passing(refused):
                raise
    return None


def maps(pid: int) -> tuple[Mapping, ...]:
    """Return the parts of a process's memory that may hold code.

    Empty where that is not visible.
    """
    try:
        return patience.within(READ_SECONDS, partial(_executable, pid))
    except OSError as refused:
        if short(refused.errno):
            raise
        return ()


def _executable(pid: int) -> tuple[Mapping, ...]:
    found: list[Mapping] = []
    read, until = 0, monotonic() + READ_SECONDS
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
