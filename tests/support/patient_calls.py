"""What tests have a child do: it imports nothing but the standard library."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from probes.errors import Unsupported
from probes.kernel.patience import OpenFiles


def refuse() -> None:
    raise Unsupported("this kernel cannot", errno=22, remedy="another")


def fail(kind: type[Exception]) -> None:
    raise kind


def spoil(said: bytes) -> None:
    """Answer in place of the child with something else, or with nothing, and end."""
    for fd in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        try:
            control = socket.socket(fileno=fd)
        except OSError:
            continue
        control.sendall(said)
        if not said:
            os._exit(1)
        control.detach()


def swapped(fd: int) -> OpenFiles:
    """What comes in is read; another file goes out."""
    ours, theirs = os.pipe()
    os.write(theirs, os.read(fd, 100)[::-1])
    os.close(theirs)
    return OpenFiles((ours,))


def held() -> set[str]:
    """What the process has open."""
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(fd.readlink()))
        except OSError:  # that of the folder itself
            continue
    return found


def capabilities() -> tuple[int, list[int]]:
    """Its number, and its effective, permitted and bounding set."""
    status = Path("/proc/self/status").read_text()
    told = dict(line.split(":\t", 1) for line in status.splitlines())
    return os.getpid(), [int(told[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")]
