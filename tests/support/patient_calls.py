"""What tests have a child do: it imports nothing but the standard library."""

from __future__ import annotations

import os
from pathlib import Path

from probes.errors import Unsupported
from probes.kernel.patience import Files


def refuse() -> None:
    raise Unsupported("this kernel cannot", errno=22, remedy="another")


def swapped(fd: int) -> Files:
    """What comes in is read; another file goes out."""
    ours, theirs = os.pipe()
    os.write(theirs, os.read(fd, 100)[::-1])
    os.close(theirs)
    return Files((ours,))


def held() -> set[str]:
    """What the process has open."""
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(fd.readlink()))
        except OSError:  # that of the folder itself
            continue
    return found
