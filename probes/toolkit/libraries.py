"""Libraries that processes have loaded, each file once, and following them with uprobes.

In a container a library is another file, found through the root of a process that has it. One file
may be seen under two names (layers of an overlay): programs that follow must count a call once
even where two of them run at it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic

from probes.errors import ProbeError
from probes.kernel.procfs import pids
from probes.model import Opening, Reading
from probes.point import Uprobe, Uretprobe
from probes.toolkit.readers import Open

REST = 20.0
"""Durations of the last look at all processes before the next: 5 % of one CPU at the most."""
SECONDS = 2.0
"""The least time between two."""
LIBC = r"libc\.so\.6|libc-2\.\d+\.so|ld-musl-\w+\.so\.1|libc\.musl-\w+\.so\.1"

Identity = tuple[bytes, bytes]
"""Device and inode as /proc/PID/maps shows them."""


def loaded(pattern: str) -> dict[Identity, str]:
    """Every file of such a name (a regular expression) that a process has mapped: a way to it."""
    line = re.compile(
        rb"^[0-9a-f]+-[0-9a-f]+ ..x. [0-9a-f]+ (\S+) (\d+) +(/(?:\S*/)?(?:"
        + pattern.encode()
        + rb"))$",
        re.MULTILINE,
    )
    found: dict[Identity, str] = {}
    for pid in pids():
        with suppress(OSError):
            for device, inode, path in line.findall(Path("/proc", str(pid), "maps").read_bytes()):
                found.setdefault((device, inode), f"/proc/{pid}/root{os.fsdecode(path)}")
    return found


@cache
def own_libc() -> str:
    """The C library of this process: what shows whether uprobes can be had at all."""
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines():
            path = line.split(maxsplit=5)[-1]
            if re.fullmatch(LIBC, path.rpartition("/")[2]):
                return path
    return "/lib/libc.so.6"


@dataclass(frozen=True, slots=True)
class Probed:
    """A C function of the rung and where it goes in the library."""

    function: str
    symbol: str
    returns: bool = False


class Following:
    """Keeps programs attached to every file of a name that some process has loaded by now.

    pattern -> what goes there. A file that lacks a function is left alone as a whole: half of what
    is counted would be wrong. Nothing is raised for one that is refused.
    """

    def __init__(self, opening: Opening, wanted: Mapping[str, Sequence[Probed]]) -> None:
        self._opening, self._wanted = opening, wanted
        self._held: dict[tuple[str, Identity], ExitStack] = {}
        self._next = 0.0
        opening.stack.callback(self._leave)

    def look(self) -> None:
        """Attaches to what is new and lets go of what no process has any more; at its pace."""
        begin = monotonic()
        if begin < self._next:
            return
        for pattern, programs in self._wanted.items():
            there = loaded(pattern)
            for id in [i for p, i in self._held if p == pattern and i not in there]:
                self._held.pop((pattern, id)).close()
            for id, path in there.items():
                if (pattern, id) not in self._held:
                    self._held[pattern, id] = self._attached(path, programs)
        end = monotonic()
        self._next = end + max(SECONDS, REST * (end - begin))

    def _attached(self, path: str, programs: Sequence[Probed]) -> ExitStack:
        opening = self._opening
        with ExitStack() as stack:
            try:
                for p in programs:
                    point = (Uretprobe if p.returns else Uprobe)(path, p.symbol)
                    opening.attach(point, opening.functions[p.function], p.function, stack)
            except ProbeError:
                stack.close()
            return stack.pop_all()

    def _leave(self) -> None:
        for stack in self._held.values():
            stack.close()
        self._held.clear()


def following(open: Open, wanted: Mapping[str, Sequence[Probed]]) -> Open:
    """Reads as `open` does, and follows libraries before each reading."""

    def opened(opening: Opening) -> Callable[[], Reading]:
        follow, read = Following(opening, wanted), open(opening)
        follow.look()

        def look_and_read() -> Reading:
            follow.look()
            return read()

        return look_and_read

    return opened
