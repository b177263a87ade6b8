"""Time that processes wait for memory (PSI), and files of cgroups; see accounting/psi.rst."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from probes.errors import raise_if_short
from probes.kernel import cgroups

HOST = Path("/proc/pressure/memory")
MOST_READ = 256
"""Cgroups of one look, at most."""
PRESSED = 0.5
"""Percent of the last ten seconds that some wait from which a cgroup is looked into."""
_FILE = 4096


class MemoryPressure(NamedTuple):
    """Time that some, or all at once, have waited for memory, in ns. now: percent, last 10 s."""

    some: int
    full: int
    now: float


def of(file: Path) -> MemoryPressure | None:
    """Return what a file says; None where this kernel has none. Linux 4.20, CONFIG_PSI."""
    found = {words[0]: words for line in text_of(file).splitlines() if (words := line.split())}
    some, full = found.get("some"), found.get("full")
    if some is None:
        return None
    return MemoryPressure(_total(some), _total(full or []), float(_field(some, "avg10") or 0))


def _total(words: list[str]) -> int:
    return int(_field(words, "total") or 0) * 1000


def _field(words: list[str], name: str) -> str:
    return next((w.partition("=")[2] for w in words if w.startswith(f"{name}=")), "")


def pressed(wanted: Callable[[Path], bool]) -> Iterator[tuple[Path, MemoryPressure]]:
    """Yield cgroups whose processes wait, parents first. wanted: also those, however calm.

    A cgroup's time has that of those below, so that of a calm one nothing more is read.
    """
    top = cgroups.root()
    waiting, read = [top] if top is not None else [], 0
    while waiting and read < MOST_READ:
        for folder in _children(waiting.pop(0)):
            read += 1
            found = of(folder / "memory.pressure") if read <= MOST_READ else None
            if found is not None and (found.now >= PRESSED or wanted(folder)):
                yield folder, found
                waiting.append(folder)


def killed() -> Iterator[tuple[Path, int]]:
    """Yield cgroups of which processes were killed for want of memory, and how many; parents first.

    A cgroup's number has those below, so that below others nothing is read. Linux 4.13.
    """
    top = cgroups.root()
    waiting, read = [top] if top is not None else [], 0
    while waiting and read < MOST_READ:
        for folder in _children(waiting.pop(0)):
            read += 1
            number = numbers(folder / "memory.events", "oom_kill").get("oom_kill", 0)
            if number:
                yield folder, number
                waiting.append(folder)


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(e.path) for e in entries if e.is_dir(follow_symlinks=False))
    except OSError as refused:
        raise_if_short(refused)
        return []


def number(file: Path) -> int | None:
    """Return a file's number; None where there is none, or it says "max"."""
    text = text_of(file).strip()
    return int(text) if text.isdigit() else None


def numbers(file: Path, *wanted: str) -> dict[str, int]:
    """Return these numbers of a file that has a name and a number on each line."""
    text = text_of(file)
    found = ((name, re.search(rf"^{name}:?\s+(\d+)", text, re.MULTILINE)) for name in wanted)
    return {name: int(match[1]) for name, match in found if match}


def text_of(file: Path) -> str:
    """Return the beginning of a file; "" where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(_FILE * 4).decode("ascii", "replace")
    except OSError as refused:
        raise_if_short(refused)
        return ""
