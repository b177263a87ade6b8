"""Other sock_ops programs on the host: callbacks that a socket is given reach all of them.

A program that is loaded counts, attached or not: it may be attached at any moment, to any cgroup.
"""

from __future__ import annotations

import errno
import os

from probes.kernel import bpf, objects
from probes.point import PROGRAM_PREFIX, ProgType
from probes.units import printable


class SockOpsPrograms:
    """The host's sock_ops programs by id, with their names. CAP_SYS_ADMIN.

    Ids only grow, so that a reading asks for those behind the last one, and whether the others are
    still there.
    """

    def __init__(self) -> None:
        self._last = 0
        self._there: dict[int, str] = {}

    def read(self) -> dict[int, str]:
        """Return them all. Raises OSError."""
        for id in bpf.prog_ids(self._last):
            if (name := _sock_ops(id)) is not None:
                self._there[id] = name
            self._last = id
        self._there = {id: name for id, name in self._there.items() if not _has_gone(id)}
        return self._there

    def foreign(self) -> list[str]:
        """Return the programs that are not ebpftop's, as name#id. Raises OSError."""
        return [
            f"{printable(name) or 'without a name'}#{id}"
            for id, name in self.read().items()
            if not name.startswith(PROGRAM_PREFIX)
        ]


def held_here() -> set[int]:
    """Return the ids of the programs that this process holds."""
    held = set()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - may be thousands
        if (id := objects.fd_field(f"/proc/self/fdinfo/{name}", "prog_id")) is not None:
            held.add(id)
    return held


def _sock_ops(id: int) -> str | None:
    """Return the name of a sock_ops program; None for others, and where it has gone."""
    try:
        fd = bpf.prog_fd_by_id(id)
    except OSError as refused:
        if refused.errno == errno.ENOENT:
            return None
        raise
    try:
        info = bpf.prog_info(fd)
    finally:
        os.close(fd)
    return info.name if info.type == ProgType.SOCK_OPS else None


def _has_gone(id: int) -> bool:
    """Return whether it is known to have gone: a lack of file descriptors says nothing."""
    try:
        os.close(bpf.prog_fd_by_id(id))
    except OSError as refused:
        return refused.errno == errno.ENOENT
    return False
