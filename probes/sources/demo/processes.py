"""Programs that the scripted host starts, and processes that end: all of it is ordinary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from probes.model import Value

Added = Callable[[str, float], float]
"""What a rate (a second) has added up to, by a name that seeds its noise."""


class PlayedStart(NamedTuple):
    """A program that a process starts again and again. error: of the starts that fail, or "-"."""

    comm: str
    file: str
    rate: float
    pid: int
    error: str = "-"


class PlayedEnd(NamedTuple):
    """Processes that end alike; seconds: how long each of them lived."""

    comm: str
    parent: str
    end: str
    rate: float
    seconds: float
    pid: int


STARTS = (
    PlayedStart("kubelet", "nsenter", 1.2, 655),
    PlayedStart("sh", "logger", 0.6, 30391),
    PlayedStart("sh", "/usr/local/bin/logger", 0.6, 30391, "ENOENT"),  # PATH is tried in order
    PlayedStart("node_exporter", "chronyc", 0.8, 802),
    PlayedStart("sshd", "bash", 0.05, 30118),
)
ENDS = (
    PlayedEnd("nsenter", "kubelet", "status 0", 1.2, 0.03, 30377),
    PlayedEnd("logger", "sh", "status 0", 0.6, 0.01, 30393),
    PlayedEnd("sh", "run-parts", "status 0", 0.6, 0.02, 30391),
    PlayedEnd("chronyc", "node_exporter", "status 0", 0.8, 0.02, 30388),
)


def starts(added: Added) -> Iterator[dict[str, Value]]:
    """Yield rows of execs."""
    for s in STARTS:
        if calls := int(added(f"start {s.comm} {s.file}", s.rate)):
            failed = calls if s.error != "-" else 0
            yield {
                "comm": s.comm, "file": s.file, "calls": calls, "failed": failed,
                "error": s.error, "pid": s.pid,
            }  # fmt: skip


def ends(added: Added) -> Iterator[dict[str, Value]]:
    """Yield rows of exits."""
    for e in ENDS:
        if number := int(added(f"end {e.comm}", e.rate)):
            yield {
                "comm": e.comm, "parent": e.parent, "end": e.end, "ends": number,
                "lived_ns": int(number * e.seconds * 1e9), "pid": e.pid,
            }  # fmt: skip
