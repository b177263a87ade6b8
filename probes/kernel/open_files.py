"""Open files by their numbers: received over a socket, and closed in any case."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from array import array
from collections.abc import Iterable
from contextlib import suppress


class FilesLost(OSError):
    """A loss of files that were sent: this process may have no more open."""


def receive(sender: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Return up to `size` bytes, and the files that came with them, close-on-exec.

    Not by socket.recv_fds, which ignores its flags in 3.11 and does not report what got lost.
    Raises FilesLost, with none of them open, and OSError.
    """
    fds = array("i")
    space = socket.CMSG_SPACE(most * fds.itemsize)
    data, messages, flags, _ = sender.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    for level, kind, body in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(body[: len(body) - len(body) % fds.itemsize])
    if flags & socket.MSG_CTRUNC:
        close_each(fds)
        raise FilesLost(errno.EMFILE, os.strerror(errno.EMFILE))
    return data, fds.tolist()


FOR_READING = 12
"""Files that neither rungs nor the compiler may take: readings open some for a moment, in several
threads."""


def check_left(many: int = FOR_READING) -> None:
    """Raise OSError (EMFILE) where this process may not open so many files more."""
    made: list[int] = []
    try:
        made.append(os.open("/", os.O_PATH | os.O_CLOEXEC))
        made += (fcntl.fcntl(made[0], fcntl.F_DUPFD_CLOEXEC, 0) for _ in range(many - 1))
    finally:
        close_each(made)


def close_each(fds: Iterable[int]) -> None:
    """Close all of them, although closing one may fail."""
    for fd in fds:
        with suppress(OSError):
            os.close(fd)
