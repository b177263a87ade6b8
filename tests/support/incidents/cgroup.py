"""Cgroups of a story's own, below the root; those of an ended run are swept."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tests.support.incidents.stage import CannotBePlayed, Stage

BLKIO = Path("/sys/fs/cgroup/blkio")
_NAME = "ebpftop-incident"


def throttled(stage: Stage, folder: Path, octets: int) -> Path:
    """A group whose members write at most so many bytes a second to that folder's disk."""
    if not BLKIO.is_dir():
        raise CannotBePlayed("there is no blkio controller of cgroup v1 here")
    group = BLKIO / f"{_NAME}-{Path('/proc/self/ns/pid').stat().st_ino}"
    group.mkdir(exist_ok=True)
    stage.undo(group.rmdir)
    device = folder.stat().st_dev
    rule = f"{os.major(device)}:{os.minor(device)} {octets}"
    (group / "blkio.throttle.write_bps_device").write_text(rule)
    return group


def sweep() -> None:
    """Remove what an ended run has left; groups in use stay."""
    for group in BLKIO.glob(f"{_NAME}-*"):
        with suppress(OSError):
            group.rmdir()
