"""Views of processes: the proc file system that shows most of them.

In a PID namespace of its own, a process sees what began in it, but not who started it. Where a proc
file system of an outer namespace is mounted as well (for monitoring, or hidden below the
namespace's own), it shows those too.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from errno import EAGAIN
from pathlib import Path

from probes.errors import short
from probes.kernel import open_files, procfs
from probes.kernel.threads import in_own_thread

OWN = "/proc"
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x20000, 0x4000, 0x40000, 2


def outermost() -> str:
    """Return the folder of the proc file system that shows most, usually /proc.

    It is looked for once, and again when mounts have changed. Raises OSError where it cannot be
    looked for at the moment, for want of files or memory.
    """
    return OWN if all_seen(OWN) else _outer.folder()


class _Outer:
    """The folder that was found, and the mounts of that time. Those that are hidden stay open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mounts: list[str] | None = None
        self._folder, self._hidden = OWN, list[int]()

    def folder(self) -> str:
        with self._lock:
            if (mounts := _mounted()) != self._mounts:
                self._look(mounts)
            return self._folder

    def _look(self, mounts: list[str]) -> None:
        hidden = _hidden(mounts.count(OWN) - 1)
        elsewhere = [place for place in dict.fromkeys(mounts) if place != OWN]
        try:
            below = [f"/proc/self/fd/{fd}" for fd in hidden]
            self._folder = max((OWN, *elsewhere, *below), key=_depth)
        except BaseException:
            open_files.close_each(hidden)
            raise
        open_files.close_each(self._hidden)
        self._hidden, self._mounts = hidden, mounts


_outer = _Outer()


def all_seen(folder: str) -> bool:
    """Return whether this folder shows every process of the host."""
    if folder == OWN and _in_first(f"{OWN}/self"):
        return True
    # The first and the kernel's own threads; the first may be one that nobody may look at.
    return any(_in_first(f"{folder}/{pid}") for pid in (1, 2))


def myself(folder: str) -> int:
    """Return this process's number in that folder; 0 where it is not seen."""
    try:
        return int(Path(folder, "self").readlink().name)
    except (OSError, ValueError):
        return 0


def _in_first(process: str) -> bool:
    found = procfs.pid_namespace_of(process)
    return found is not None and found[1] == procfs.FIRST_PID_NAMESPACE


def _depth(folder: str) -> int:
    """Count the namespaces between what it shows and this process; 0: it does not show it."""
    try:
        with Path(folder, "self/status").open("rb") as status:
            return next((len(x.split()) - 1 for x in status if x.startswith(b"NSpid:")), 0)
    except OSError as refused:
        if short(refused.errno):
            raise
        return 0


def _mounted() -> list[str]:
    """Return mount points of whole proc file systems, also of those hidden below another."""
    found = []
    try:
        with Path("/proc/self/mountinfo").open("rb") as mounts:
            for line in mounts:
                fields, _, kind = line.partition(b" - ")
                words = fields.split()
                if kind.startswith(b"proc ") and len(words) > 4 and words[3] == b"/":
                    found.append(os.fsdecode(words[4].decode("unicode_escape").encode("latin-1")))
    except OSError as refused:
        if short(refused.errno):
            raise
    except ValueError:
        pass
    return found


def _hidden(above: int) -> list[int]:
    """Open those below /proc: `unshare --mount-proc` and the like mount theirs on top.

    This is done in a thread with its own mount namespace, which ends with the thread; what is found
    stays open.
    """
    found: list[int] = []
    try:
        if above > 0:
            in_own_thread(lambda: found.extend(_uncovered(above)))
    except RuntimeError as none:  # no thread
        raise OSError(EAGAIN, str(none)) from none
    except BaseException:
        open_files.close_each(found)
        raise
    return found


def _uncovered(above: int) -> Iterator[int]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
        return  # without CAP_SYS_ADMIN; nothing may be unmounted that others see
    for _ in range(above):
        if libc.umount2(OWN.encode(), _MNT_DETACH):
            return
        try:
            yield os.open(OWN, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as refused:
            if short(refused.errno):
                raise
            return
