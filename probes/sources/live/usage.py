"""Memory in use: memory of processes, and what their maps are charged."""

# Listed every few seconds: os.listdir compares in one go.
# ruff: noqa: PTH208

from __future__ import annotations

import os
from collections.abc import Iterable
from math import inf
from pathlib import Path
from time import monotonic

from probes.errors import short

_FDS = "/proc/self/fdinfo"
_Charge = tuple[bytes, int]
"""A map's id, and the bytes that it is charged."""


def resident(pid: int | str = "self") -> int:
    """Return the bytes of a process in RAM; 0 where it has ended.

    Here as below: raises OSError where no file is left to look with.
    """
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError as refused:
        if short(refused.errno):
            raise
        return 0
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def maps() -> int:
    """Return the bytes that the kernel charges for this process's maps (proc_pid_fdinfo(5)).

    0 without a /proc.
    """
    return _sum(map(_map, _listed()))


class Maps:
    """The same for callers that ask often: a file is read when it is opened.

    All are read again after `AGAIN` seconds, for a hash that is not allocated at once and for a
    file that was closed and opened between two listings.
    """

    AGAIN = 20.0

    def __init__(self) -> None:
        self._known: dict[str, _Charge | None] = {}
        self._until = -inf

    def __call__(self) -> int:
        if (now := monotonic()) >= self._until:
            self._known, self._until = {}, now + self.AGAIN
        known = self._known
        self._known = {fd: known[fd] if fd in known else _map(fd) for fd in _listed()}
        return _sum(self._known.values())


def _sum(charges: Iterable[_Charge | None]) -> int:
    """Return the bytes of maps, each counted once."""
    return sum(dict(filter(None, charges)).values())


def _listed() -> list[str]:
    try:
        return os.listdir(_FDS)
    except FileNotFoundError:
        return []


def _map(fd: str) -> _Charge | None:
    """Return a map's id and the bytes that it is charged; None for what is none."""
    try:
        said = Path(_FDS, fd).read_bytes()
    except OSError as refused:
        if short(refused.errno):
            raise
        return None  # closed meanwhile
    if b"map_id:" not in said:
        return None
    fields = dict(line.split(b":\t", 1) for line in said.splitlines() if b":\t" in line)
    return fields[b"map_id"], int(fields.get(b"memlock", b"0"))
