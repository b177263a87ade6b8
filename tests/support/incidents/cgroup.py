"""Cgroups of a story's own, below the root; those of an ended run are swept."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tests.support.incidents.stage import CannotBePlayed, Stage

BLKIO, MEMORY = Path("/sys/fs/cgroup/blkio"), Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")
"""Controllers of cgroup v1; where v2 may be mounted."""
_NAME = "ebpftop-incident"


def throttled(stage: Stage, folder: Path, octets: int) -> Path:
    """A group whose members write at most so many bytes a second to that folder's disk."""
    if not BLKIO.is_dir():
        raise CannotBePlayed("there is no blkio controller of cgroup v1 here")
    group = BLKIO / name()
    group.mkdir(exist_ok=True)
    stage.undo(group.rmdir)
    device = folder.stat().st_dev
    rule = f"{os.major(device)}:{os.minor(device)} {octets}"
    (group / "blkio.throttle.write_bps_device").write_text(rule)
    return group


def short_of_memory(stage: Stage, octets: int) -> list[Path]:
    """The groups of members that have so much memory: one of v2 tells how long they wait for it.

    Its limit is set there, or in a group of v1 where that has the controller.
    """
    top = next((place for place in V2 if (place / "cgroup.controllers").is_file()), None)
    if top is None or not (top / "memory.pressure").is_file():
        raise CannotBePlayed("this host does not tell of memory pressure (PSI) by cgroup")
    groups = [top / name()]
    if MEMORY.is_dir():
        groups.append(MEMORY / name())
    for group in groups:
        group.mkdir(exist_ok=True)
        stage.undo(group.rmdir)
    limits = [groups[0] / "memory.max", groups[-1] / "memory.limit_in_bytes"]
    found = [limit for limit in limits if limit.is_file()]
    if not found:
        raise CannotBePlayed("there is no memory controller of cgroups here")
    found[0].write_text(str(octets))
    return groups


def waited_ms() -> float:
    """Return for how long members have waited for memory."""
    told = next(f for top in V2 if (f := top / name() / "memory.pressure").is_file())
    return int(told.read_text().splitlines()[0].rpartition("total=")[2]) / 1000


def name() -> str:
    """Return the name of this run's groups."""
    return f"{_NAME}-{Path('/proc/self/ns/pid').stat().st_ino}"


def sweep() -> None:
    """Remove what an ended run has left; groups in use stay."""
    for place in (BLKIO, MEMORY, *V2):
        for group in place.glob(f"{_NAME}-*"):
            with suppress(OSError):
                group.rmdir()
