"""Ways to open a file: each in a process of its own, with what it saw and what is counted."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from probes.kernel import syscall_table
from tests.support import calls, uring

_I386_OPEN, _I386_CREAT, _I386_OPENAT = 5, 8, 295
_AGAIN = 2
_NOWHERE = b"/nonexistent/file"
_CWD = -100 & 0xFFFFFFFF
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Way:
    """make: run in a process of its own, 0 where it went as it has to. opens, failed: what is to
    be counted of it. unseen: what `misses` says where nothing is."""

    name: str
    make: Callable[[], int]
    opens: int = _AGAIN
    failed: int = 0
    unseen: str = ""


MISSING = 77
"""The exit status where this kernel or filesystem does not have it."""


def _all(call: Callable[[], int], error: int = 0) -> int:
    """Do it so often; whether each gave a file descriptor, or that errno."""
    for _ in range(_AGAIN):
        ctypes.set_errno(0)
        fd = call()
        if fd >= 0:
            os.close(fd)
        if (fd >= 0) == bool(error) or ctypes.get_errno() != error:
            return 1
    return 0


def _call(name: str, *arguments: object, error: int = 0) -> int:
    number = syscall_table.number(name)
    return MISSING if number is None else _all(lambda: _libc.syscall(number, *arguments), error)


def _by_int80(number: int, *arguments: bytes | int, error: int = 0) -> int:
    for _ in range(_AGAIN):
        fd = calls.through_int80(number, 1, *arguments)
        if (fd < 0) != bool(error) or (error and fd != -error):
            return 1
    return 0


def _by_uring(open: Callable[[uring.Ring], int], error: int = 0) -> int:
    with uring.ring() as ring:
        if ring is None:
            return MISSING
        for _ in range(_AGAIN):
            fd = open(ring)
            if (fd < 0) != bool(error) or (error and fd != -error):
                return 1
    return 0


def _by_handle(folder: Path, root: int) -> int:
    """name_to_handle_at, then open_by_handle_at."""
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136)
    mount, path = ctypes.c_int(), os.fsencode(folder / "file")
    if _libc.name_to_handle_at(root, path, handle, ctypes.byref(mount), 0):
        return MISSING  # a filesystem without handles
    return _all(lambda: int(_libc.open_by_handle_at(root, handle, os.O_RDONLY)))


def _restarted(fifo: Path) -> int:
    """Waits for who writes, while signals come whose handlers let it go on."""
    if (pid := os.fork()) == 0:
        try:
            time.sleep(0.05)
            os.open(fifo, os.O_WRONLY)
        finally:
            os._exit(0)
    with calls.alarms(restart=True):
        fd = _libc.open(os.fsencode(fifo), os.O_RDONLY)
    os.waitpid(pid, 0)
    return fd < 0


def ways(folder: Path) -> list[Way]:
    """All of them; x32 and i386 only where the kernel has them."""
    file, new, fifo = folder / "file", folder / "new", folder / "fifo"
    file.touch()
    root = os.open(folder, os.O_RDONLY)
    os.mkfifo(fifo)
    path, how = os.fsencode(file), struct.pack("=QQQ", 0, 0, 0)
    isdir = errno.EISDIR
    enoent, both = errno.ENOENT, {"failed": _AGAIN}
    made = [
        Way("open", partial(_call, "open", path, os.O_RDONLY)),
        Way("open fails", partial(_call, "open", _NOWHERE, 0, error=enoent), **both),
        Way("creat", partial(_call, "creat", os.fsencode(new), 0o600)),
        Way("openat", partial(_call, "openat", -100, path, os.O_RDONLY)),
        Way("openat2", partial(_call, "openat2", -100, path, how, len(how))),
        Way(
            "openat2 of no size",
            partial(_call, "openat2", -100, path, how, 0, error=errno.EINVAL),
            **both,
            unseen="malformed",
        ),
        Way("a path that cannot be read", partial(_call, "open", 1, 0, error=errno.EFAULT), **both),
        Way("O_PATH", partial(_call, "open", path, os.O_PATH)),
        Way("a folder, to write", partial(_call, "open", b"/", os.O_WRONLY, error=isdir), **both),
        Way("restarted", partial(_restarted, fifo), 1),
        Way("by handle", partial(_by_handle, folder, root), unseen="by handle"),
        Way("io_uring", partial(_by_uring, lambda r: r.openat(path)), unseen="io_uring"),
        Way("io_uring, openat2", partial(_by_uring, lambda r: r.openat2(path)), unseen="io_uring"),
        Way(
            "io_uring fails",
            partial(_by_uring, lambda r: r.openat(_NOWHERE), enoent),
            **both,
            unseen="io_uring",
        ),
        Way(
            "seccomp",
            lambda: (
                calls.refused(syscall_table.number("openat") or 0, errno.EXDEV, _AGAIN) != _AGAIN
            ),
            **both,
            unseen="seccomp",
        ),
    ]
    if calls.has_i386():
        made += [
            Way("32-bit open", partial(_by_int80, _I386_OPEN, path, 0), unseen="32-bit"),
            Way("32-bit creat", partial(_by_int80, _I386_CREAT, path, 0o600), unseen="32-bit"),
            Way("32-bit openat", partial(_by_int80, _I386_OPENAT, _CWD, path, 0), unseen="32-bit"),
            Way(
                "32-bit openat fails",
                partial(_by_int80, _I386_OPENAT, _CWD, _NOWHERE, 0, error=enoent),
                **both,
                unseen="32-bit",
            ),
        ]
    if calls.has_x32():
        number = syscall_table.number("x32 openat")
        made.append(
            Way(
                "x32",
                lambda: _all(lambda: _libc.syscall(number, -100, path, os.O_RDONLY)),
                unseen="x32",
            )
        )
    return made
