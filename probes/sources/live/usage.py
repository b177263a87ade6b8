"""Memory in use: memory of processes, and what their maps are charged."""

# Listed every few seconds: os.listdir compares in one go.
# ruff: noqa: PTH208

from __future__ import annotations

import os
from math import inf
from pathlib import Path
from time import monotonic

from probes.errors import short

_FDS = "/proc/self/fdinfo"


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
    return sum(dict(filter(None, map(_map, _listed()))).values())


class Maps:
    """The same for callers that ask often: it only changes when a file is opened or closed.

    Except for a hash that is not allocated at once: so it is asked again after `AGAIN` seconds.
    """

    AGAIN = 20.0

    def __init__(self) -> None:
        self._open: list[str] = []
        self._known, self._until = 0, -inf

    def __call__(self) -> int:
        now, there = monotonic(), _listed()
        if there != self._open or now >= self._until:
            self._open, self._known, self._until = there, maps(), now + self.AGAIN
        return self._known


def _listed() -> list[str]:
    try:
        return os.listdir(_FDS)
    except FileNotFoundError:
        return []


def _map(fd: str) -> tuple[bytes, int] | None:
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
