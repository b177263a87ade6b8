"""The cgroups of a process, on hosts with version 2, version 1 or both; see cgroups(7)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from probes.errors import raise_if_short

_USER = re.compile(r"user-(\d{1,10})\.slice")
_MOST_BYTES = 1 << 16


class CgroupPath(NamedTuple):
    """A path, part by part. uid: the user below whose slice it is, who may have chosen all of it.

    by_systemd: whether its parts may be units: those of a version 1 controller are not.
    """

    parts: tuple[str, ...]
    uid: int | None = None
    by_systemd: bool = True

    @classmethod
    def of(cls, path: str, *, by_systemd: bool = True) -> CgroupPath:
        """Parse a path from its root on."""
        parts = [p for p in path.removesuffix(" (deleted)").split("/") if p not in ("", "..")]
        users = (m for m in map(_USER.fullmatch, parts[:2]) if m)
        return cls(tuple(parts), next((int(m[1]) for m in users), None), by_systemd)


def of_process(pid: int) -> bytes | None:
    """Return a process's table of cgroups; None where it has gone. Readable by everybody."""
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as table:  # noqa: PTH123 - thousands are read
            return table.read(_MOST_BYTES)
    except OSError as refused:
        raise_if_short(refused)
        return None


def parsed(table: bytes) -> list[CgroupPath]:
    """Return the paths of such a table, the most telling first; none of those that are roots."""
    return [path for path in dict.fromkeys(_paths(table)) if path.parts]


def _paths(table: bytes) -> Iterator[CgroupPath]:
    lines = [line.split(b":", 2) for line in table.split(b"\n")]
    fields = [(f[1], os.fsdecode(f[2])) for f in lines if len(f) == 3]
    for controllers in (b"", b"name=systemd"):  # version 2; systemd's own on hybrid and old hosts
        yield from (CgroupPath.of(path) for which, path in fields if which == controllers)
    for which, path in fields:
        if which not in (b"", b"name=systemd"):
            yield CgroupPath.of(path, by_systemd=False)
