"""cgroup v2: where it is mounted, and the paths of cgroups by the ids that programs see."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from probes.errors import Unsupported

# Not below /sys, where a container may make no directory.
MOUNT = "As root: mkdir -p /run/cgroup2 && mount -t cgroup2 cgroup2 /run/cgroup2"
_ESCAPED = re.compile(rb"\\([0-3][0-7]{2})")
REST = 20.0
"""Durations of the last walk that pass before the next one: 5 % of one CPU at the very most."""


def root() -> Path | None:
    """Where cgroup v2 is mounted; in a container that is the container's own root.

    A mount is listed also where another one hides it.
    """
    for line in Path("/proc/self/mounts").read_bytes().splitlines():  # anybody names a mount
        fields = line.split()
        if len(fields) > 2 and fields[2] == b"cgroup2":
            root = Path(os.fsdecode(_ESCAPED.sub(lambda m: bytes([int(m[1], 8)]), fields[1])))
            if os.access(root / "cgroup.procs", os.F_OK):
                return root
    return None


def not_mounted() -> Unsupported:
    return Unsupported(
        "cgroup v2 is not mounted here",
        errno=errno.ENOENT,
        remedy=MOUNT,
    )


@contextmanager
def opened() -> Iterator[int]:
    """An fd of the root cgroup. Raises Unsupported where cgroup v2 is not mounted."""
    place = root()
    if place is None:
        raise not_mounted()
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def id_of(path: Path) -> int:
    """The id that bpf_get_current_cgroup_id() gives in a cgroup. 64-bit kernels from 5.5."""
    return path.stat().st_ino


class Paths:
    """The path of a cgroup below the mount ("/system.slice/ssh.service"; "/" for its root).

    A cgroup's id is its directory's inode. The tree is walked again for ids that are new to us
    only. What was seen once keeps its path: counts outlive a container.
    """

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._unknown: set[int] = set()
        self._next = 0.0

    def of(self, id: int) -> str:
        """The path; "id 123" where it has gone before it was ever seen, or is not below ours."""
        if id not in self._known and id not in self._unknown and monotonic() >= self._next:
            self._walk()
            if id not in self._known:
                self._unknown.add(id)
        return self._known.get(id) or f"id {id}"

    def _walk(self) -> None:
        begin, top = monotonic(), root()
        if top is not None:
            self._known[id_of(top)] = "/"
            for folder, names, _ in os.walk(top):
                for name in names:
                    self._see(top, os.path.join(folder, name))  # noqa: PTH118
        end = monotonic()
        self._next = end + REST * (end - begin)

    def _see(self, top: Path, folder: str) -> None:
        try:
            self._known[os.stat(folder).st_ino] = folder[len(str(top)) :]  # noqa: PTH116
        except OSError:
            pass  # gone meanwhile


def of_process(pid: int) -> str:
    """The path of a process's cgroup v2, as /proc tells it; "-" where the process has gone."""
    try:
        lines = Path("/proc", str(pid), "cgroup").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return "-"
    return next((line[3:] for line in lines if line.startswith("0::")), "-")
