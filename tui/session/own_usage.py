"""Resources of this process and those that it started (the compiler): CPU time and memory."""

# Read at each tick: see procfs.
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import os
from collections.abc import Iterator

_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14
"""Indices of fields in /proc/PID/stat after the command."""


def cpu_seconds() -> float:
    """Return CPU seconds of this process, of children that ended, and of those that live."""
    mine = os.times()
    own = mine.user + mine.system + mine.children_user + mine.children_system
    return own + sum(map(_seconds, _started()))


def memory() -> int:
    """Return bytes in RAM now, of all of them (RSS)."""
    return sum(map(_resident, (os.getpid(), *_started())))


def _started() -> Iterator[int]:
    """Yield all descendants of this process. Mostly there is none, which one call tells."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:
        return
    yield from _descendants(os.getpid())


def _descendants(pid: int) -> Iterator[int]:
    """Yield all descendants; none if the kernel lists no children (CONFIG_PROC_CHILDREN)."""
    for thread in _listed(f"/proc/{pid}/task"):
        for child in map(int, _read(f"/proc/{pid}/task/{thread}/children").split()):
            yield child
            yield from _descendants(child)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # it has ended
        return []


def _read(path: str) -> str:
    """Read a file without pathlib, which takes longer than the kernel; "" if it has gone."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _seconds(pid: int) -> float:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    places = (_UTIME, _STIME, _CUTIME, _CSTIME) if fields else ()
    return sum(int(fields[place]) for place in places) / _TICKS


def _resident(pid: int) -> int:
    pages = _read(f"/proc/{pid}/statm").split()
    return int(pages[1]) * _PAGE if pages else 0
