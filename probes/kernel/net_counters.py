"""Some of nstat's counters, read on every tick from files that are alike in every namespace.

A file has 400 numbers under as many names, which are read once. A number is taken from its place,
and parsed only where its text has changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from probes.errors import raise_if_short

OWN = "/proc/thread-self/net/"  # /proc/net is that of the main thread's namespace
_MOST_LAYOUTS = 256
_MOST = 1 << 15
"""Bytes that one read asks for; the kernel gives such a file in one piece."""

Texts = tuple[bytes, ...]


class Counts(NamedTuple):
    """Counters as the kernel wrote them."""

    names: tuple[str, ...]
    texts: Texts

    def numbers(self) -> dict[str, int]:
        """Return them by name."""
        return dict(zip(self.names, map(int, self.texts), strict=True))


class _WantedPlaces(NamedTuple):
    """Places of the wanted numbers in a file."""

    names: tuple[str, ...]
    take: Callable[[list[bytes]], Texts]


class NetCounters:
    """A reader of the wanted counters."""

    def __init__(self, wanted: Collection[str]) -> None:
        self._wanted = frozenset(wanted)
        # By all that is no number in a file: a namespace has names of its own (types of ICMP).
        self._layouts: dict[tuple[bytes, ...], _WantedPlaces] = {}
        self._names: dict[tuple[tuple[str, ...], ...], tuple[str, ...]] = {}

    def read(self, net: str = OWN) -> Counts:
        """Return those of this thread's network namespace.

        net: of another one, the folder `net` of a process in it; none where that has gone.
        """
        if max(len(self._layouts), len(self._names)) > _MOST_LAYOUTS:
            self._layouts, self._names = {}, {}
        parts = [
            self._lines(read(net + "snmp")),
            self._lines(read(net + "netstat")),
            self._words(read(net + "snmp6")),
        ]
        names = tuple([part.names for part in parts])
        known = self._names.setdefault(names, sum(names, ()))
        return Counts(known, sum([part.texts for part in parts], ()))

    def _lines(self, data: bytes) -> Counts:
        """Take what is wanted of lines of names and lines of numbers, each behind its group."""
        lines = data.split(b"\n")
        head, rows = tuple(lines[::2]), lines[1::2]
        layout = self._layouts.get(head)
        if layout is None:
            layout = self._layouts[head] = self._layout_of_lines(head)
        return Counts(layout.names, layout.take(rows))

    def _layout_of_lines(self, head: Iterable[bytes]) -> _WantedPlaces:
        names: list[str] = []
        places: list[tuple[int, list[int]]] = []
        for row, line in enumerate(head):
            words = line.decode("ascii", "replace").split()
            called = [words[0].removesuffix(":") + word for word in words]
            at = [n for n, name in enumerate(called) if n and name in self._wanted]
            if at:
                names += [called[n] for n in at]
                places.append((row, at))
        return _WantedPlaces(tuple(names), lambda rows: _of_lines(rows, places))

    def _words(self, data: bytes) -> Counts:
        """Take what is wanted of lines with a name and a number."""
        words = data.split()
        head = tuple(words[::2])
        layout = self._layouts.get(head)
        if layout is None:
            all = [word.decode("ascii", "replace") for word in head]
            at = [n for n, name in enumerate(all) if name in self._wanted]
            wanted = tuple([all[n] for n in at])
            layout = _WantedPlaces(wanted, lambda numbers: tuple([numbers[n] for n in at]))
            self._layouts[head] = layout
        return Counts(layout.names, layout.take(words[1::2]))


def _of_lines(rows: list[bytes], places: Iterable[tuple[int, list[int]]]) -> Texts:
    found: list[bytes] = []
    for row, at in places:
        words = rows[row].split()
        found += [words[n] for n in at]
    return tuple(found)


def read(path: str) -> bytes:
    """Return what is in such a file; nothing on a kernel without it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(fd, _MOST)
            while len(data) % _MOST == 0 or not data.endswith(b"\n"):
                if not (more := os.read(fd, _MOST)):
                    break
                data += more
            return data
        finally:
            os.close(fd)
    except OSError as refused:
        raise_if_short(refused)
        return b""
