"""Resources of this process and those that it started (the compiler): CPU time and memory."""

# Read at each tick: see procfs.
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

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


class OwnUsage:
    """Resources of this process and those it started; read at most once a second.

    seconds: the CPU time used so far. memory: bytes in RAM now.
    """

    def __init__(self, seconds: Callable[[], float], memory: Callable[[], int]) -> None:
        self._seconds, self._memory = seconds, memory
        self._used, self._time = seconds(), time.monotonic()
        self._percent: float | None = None
        self._bytes = memory()

    def now(self) -> tuple[float | None, int]:
        """Return its share of one CPU since the last call (None: not known yet), and bytes."""
        now = time.monotonic()
        if now - self._time >= 1:
            used = self._seconds()
            self._percent = max(used - self._used, 0) / (now - self._time) * 100
            self._used, self._time, self._bytes = used, now, self._memory()
        return self._percent, self._bytes
