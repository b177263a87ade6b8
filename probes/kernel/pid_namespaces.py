"""Views of processes: the proc file system that shows most of them.

In a PID namespace of its own, a process sees what began in it, but not who started it. Where a proc
file system of an outer namespace is mounted as well (for monitoring, or hidden below the
namespace's own), it shows those too.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from probes.kernel import procfs
from probes.kernel.threads import in_own_thread

OWN = "/proc"
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x20000, 0x4000, 0x40000, 2


@lru_cache(1)
def outermost() -> str:
    """Return the folder of the proc file system that shows most, usually /proc. Found once."""
    if all_seen(OWN):
        return OWN
    found = [*_elsewhere(), *_hidden()]
    return max((OWN, *found), key=_depth)


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
    except OSError:
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
    except (OSError, ValueError):
        pass
    return found


def _elsewhere() -> list[str]:
    return [place for place in dict.fromkeys(_mounted()) if place != OWN]


def _hidden() -> list[str]:
    """Open those below /proc: `unshare --mount-proc` and the like mount theirs on top.

    This is done in a thread with its own mount namespace, which ends with the thread; what is found
    stays open.
    """
    above = _mounted().count(OWN) - 1
    found: list[str] = []
    if above > 0:
        in_own_thread(lambda: found.extend(_uncovered(above)))
    return found


def _uncovered(above: int) -> Iterator[str]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
        return  # without CAP_SYS_ADMIN; nothing may be unmounted that others see
    for _ in range(above):
        if libc.umount2(OWN.encode(), _MNT_DETACH):
            return
        try:
            fd = os.open(OWN, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return
        yield f"/proc/self/fd/{fd}"
