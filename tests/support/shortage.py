"""A host that is short of something: this process may open only so many files more."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probes.errors import ProbeError, passing, short


@contextmanager
def files_left(many: int) -> Iterator[None]:
    """So many, and no more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = open_files()
    free = (fd for fd in range(max(used) + many + 2) if fd not in used)
    most = next(fd for n, fd in enumerate(free) if n == many)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_files() -> set[int]:
    """The numbers of this process's open files."""
    listed = [int(fd.name) for fd in Path("/proc/self/fd").iterdir()]
    return {fd for fd in listed if os.path.lexists(f"/proc/self/fd/{fd}")}  # not the folder's own


def is_short(raised: BaseException) -> bool:
    """Whether it says that the host is short of something."""
    if isinstance(raised, ProbeError):
        return passing(raised)
    return isinstance(raised, MemoryError) or (isinstance(raised, OSError) and short(raised.errno))
