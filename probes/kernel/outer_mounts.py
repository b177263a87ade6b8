"""What is mounted for the processes that started this one, where it has mounts of its own.

`ip netns exec` mounts a new /sys for its command, without cgroup v2 and tracefs. Both are still
there for process 1 and for the ancestors, below /proc/PID/root (proc(5)).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from probes.kernel import procfs


def outer_roots() -> Iterator[Path]:
    """Yield the roots of process 1 and of our ancestors with other mounts, the oldest first.

    Those that this user may not look at (CAP_SYS_PTRACE, and no capability less) are left out.
    """
    seen = {_mounts_of("self")}
    for pid in procfs.eldest():
        mounts = _mounts_of(pid)
        if mounts and mounts not in seen:
            seen.add(mounts)
            yield Path(f"/proc/{pid}/root")


def outer_mounts(kind: str) -> Iterator[Path]:
    """Yield where file systems of a kind are mounted for them, as paths that work here."""
    for root in outer_roots():
        try:
            table = (root.parent / "mounts").read_bytes()
        except OSError:
            continue  # gone meanwhile
        yield from (root / place.relative_to("/") for place in procfs.mounted(table, kind))


def _mounts_of(pid: int | str) -> int:
    """Return the inode of a process's mount namespace; 0 where it may not be looked at."""
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino  # noqa: PTH116 - a path of ours
    except OSError:
        return 0
