"""What this process and those that it started (the compiler) use: CPU time and memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14
"""Places in /proc/PID/stat behind the command."""


def cpu_seconds() -> float:
    """So far, of this process, of those that ended, and of those that live."""
    mine = os.times()
    own = mine.user + mine.system + mine.children_user + mine.children_system
    return own + sum(map(_seconds, _descendants(os.getpid())))


def memory() -> int:
    """Bytes in RAM now, of all of them; what they share is in each."""
    return sum(map(_resident, (os.getpid(), *_descendants(os.getpid()))))


def _descendants(pid: int) -> Iterator[int]:
    """None where the kernel lists no children (CONFIG_PROC_CHILDREN)."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = [int(child) for child in children.read_text().split()]
        except OSError:
            continue  # that thread has ended
        for child in found:
            yield child
            yield from _descendants(child)


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(fields[place]) for place in (_UTIME, _STIME, _CUTIME, _CSTIME)) / _TICKS


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
