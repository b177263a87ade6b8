"""cgroup v2: its mount, and the paths of cgroups by the ids that programs see.

Users to whom a part of the tree was delegated make as many cgroups there as they like, as deep as
they like, under names of any bytes.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections import OrderedDict, deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from time import monotonic, thread_time

from probes.errors import Unsupported, short
from probes.kernel import procfs
from probes.kernel.outer_mounts import outer_mounts

# Not below /sys, where a container may make no directory.
MOUNT = "As root: mkdir -p /run/cgroup2 && mount -t cgroup2 cgroup2 /run/cgroup2"
WALK_REST = 20.0
"""Rest, as a multiple of the last walk's CPU time: 5 % of one CPU at most."""
MOST_FOLDERS, WALK_SECONDS = 1 << 16, 2.0
"""Folders and seconds of one walk at most, from the root down."""
_MOST_KEPT = 1 << 14
"""Paths of cgroups kept; the least recently asked is forgotten first."""


def root() -> Path | None:
    """Return where cgroup v2 is mounted; in a container that is the container's own root.

    A mount is listed also where another one hides it. Where it is mounted only outside, as for a
    command of `ip netns exec`, the path goes through another process's root.
    """
    for place in chain(procfs.mounts("cgroup2"), outer_mounts("cgroup2")):
        if os.access(place / "cgroup.procs", os.F_OK):
            return place
    return None


def not_mounted() -> Unsupported:
    return Unsupported(
        "cgroup v2 is not mounted here",
        errno=errno.ENOENT,
        remedy=MOUNT,
    )


@contextmanager
def opened() -> Iterator[int]:
    """Open the root cgroup; yield its fd. Raises Unsupported where cgroup v2 is not mounted."""
    place = root()
    if place is None:
        raise not_mounted()
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def id_of(path: Path) -> int:
    """Return the id that bpf_get_current_cgroup_id() gives in a cgroup. 64-bit kernels from 5.5."""
    return path.stat().st_ino


def folders(top: Path, seconds: float = WALK_SECONDS) -> Iterator[tuple[int, str]]:
    """Yield (id, path) of the cgroups below the root, itself first, nearer ones before others.

    At most `MOST_FOLDERS`, and what can be looked at in so many seconds.
    """
    until, seen = monotonic() + seconds, 0
    waiting = deque([str(top)])
    while waiting and seen < MOST_FOLDERS and monotonic() < until:
        folder = waiting.popleft()
        try:
            yield id_of(Path(folder)), folder
            with os.scandir(folder) as entries:
                waiting.extend(e.path for e in entries if e.is_dir(follow_symlinks=False))
        except OSError:
            continue  # gone meanwhile, or its path is longer than any may be
        seen += 1


class _FileHandle(ctypes.Structure):
    """struct file_handle, with a cgroup's id. FILEID_KERNFS in include/linux/exportfs.h."""

    _fields_ = (
        ("bytes", ctypes.c_uint),
        ("type", ctypes.c_int),
        ("id", ctypes.c_uint64),
    )


_KERNFS = 0xFE


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _by_handle(top: Path, id: int) -> str | None:
    """Return the path of a cgroup below the mount.

    Raises OSError: EPERM without CAP_DAC_READ_SEARCH, ESTALE where there is none. Linux 5.5; its
    time does not depend on how many there are.
    """
    mount = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        handle = _FileHandle(8, _KERNFS, id)
        fd = _libc().open_by_handle_at(mount, ctypes.byref(handle), os.O_PATH | os.O_CLOEXEC)
        if fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        try:
            # Both as the kernel writes them: without the process through whose root we look.
            there = [os.readlink(f"/proc/self/fd/{n}") for n in (mount, fd)]  # noqa: PTH115
            return below(Path(there[0]), there[1])
        finally:
            os.close(fd)
    finally:
        os.close(mount)


def below(top: Path, folder: str) -> str | None:
    """Return a folder's path from the mount on: "/" for the mount; None where it is elsewhere."""
    if folder == str(top):
        return "/"
    return folder.removeprefix(str(top)) if folder.startswith(f"{top}/") else None


class Paths:
    """Paths of cgroups below the mount ("/system.slice/ssh.service"; "/" for its root).

    A cgroup's id is its directory's inode, which the kernel finds; where it does not, the tree is
    walked, for ids that are new to us only. A path that was seen once is kept: counts outlive a
    container.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[int, str] = OrderedDict()
        self._next = 0.0

    def of(self, id: int) -> str:
        """Return the path; "id 123" where it went before it was ever seen, or is not below ours.

        Raises OSError where no file is left to look with.
        """
        if id not in self._known:
            self._see(id)
        if id not in self._known:
            return f"id {id}"
        self._known.move_to_end(id)
        return self._known[id]

    def all_of(self, ids: Collection[int]) -> list[str]:
        """Return the paths of several, without a call for each that is known."""
        known = list(map(self._known.get, ids))
        deque(map(self._known.move_to_end, self._known.keys() & set(ids)), 0)
        return [self.of(id) if path is None else path for id, path in zip(ids, known, strict=True)]

    def _see(self, id: int) -> None:
        top = root()
        if top is None:
            return
        path = None
        try:
            path = _by_handle(top, id)
        except OSError as refused:
            if short(refused.errno):
                raise
            if refused.errno not in (errno.ESTALE, errno.ENAMETOOLONG):
                self._walk(top, id)
                return
        self._keep(id, path or f"id {id}")

    def _keep(self, id: int, path: str) -> None:
        self._known[id] = path
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)

    def _walk(self, top: Path, wanted: int) -> None:
        """Walk the tree for an id, and keep what is on the way, too: it will be asked for."""
        if monotonic() < self._next:
            return
        cpu = thread_time()
        self._known[wanted] = f"id {wanted}"
        for id, folder in folders(top):
            if len(self._known) < _MOST_KEPT or id == wanted:
                self._keep(id, below(top, folder) or "/")
        self._next = monotonic() + WALK_REST * (thread_time() - cpu)


def of_process(pid: int) -> str:
    """Return a process's cgroup v2 path, from /proc; "-" where the process has gone."""
    try:
        lines = Path("/proc", str(pid), "cgroup").read_bytes().split(b"\n")
    except OSError:
        return "-"
    return next((os.fsdecode(line[3:]) for line in lines if line.startswith(b"0::")), "-")
