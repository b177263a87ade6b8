"""io_uring by hand: one request at a time, made by the kernel in this process's name."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_SETUP, _ENTER, _GETEVENTS, _WAKEUP, _SQPOLL = 425, 426, 1, 2, 2
_RINGS, _ENTRIES = 0, 0x10000000  # offsets for mmap: both rings, the entries
ASYNC = 1 << 4
"""IOSQE_ASYNC: a worker thread does it from the beginning."""
_TIMEOUT, _CONNECT, _OPENAT, _SEND, _OPENAT2 = 11, 16, 18, 26, 28
AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


class Ring:
    """Raises OSError where this kernel has none, or does not allow it.

    polled: a thread of the kernel's looks for requests, and makes them.
    """

    def __init__(self, *, polled: bool = False) -> None:
        params = ctypes.create_string_buffer(120)
        struct.pack_into("=I", params, 8, _SQPOLL * polled)
        self._enter = _GETEVENTS | _WAKEUP * polled
        self._fd = _libc.syscall(_SETUP, 4, params)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "io_uring_setup")
        words = struct.unpack("=30I", params.raw)
        # struct io_uring_params: 10 words, then the offsets of submissions, of completions
        self._sq, self._cq = words[10:20], words[20:30]
        size = max(self._sq[6] + words[0] * 4, self._cq[5] + words[1] * 16)
        self._rings = mmap.mmap(self._fd, size, offset=_RINGS)
        self._entries = mmap.mmap(self._fd, words[0] * 64, offset=_ENTRIES)
        self.requests = 0

    def close(self) -> None:
        self._rings.close()
        self._entries.close()
        os.close(self._fd)

    def connect(self, fd: int, name: bytes, flags: int = 0) -> int:
        return self._do(_CONNECT, fd, name, 0, len(name), flags=flags)

    def openat(self, path: bytes, how: int = os.O_RDONLY, flags: int = 0) -> int:
        return self._do(_OPENAT, AT_FDCWD, path + b"\0", 0, 0, how, flags=flags)

    def openat2(self, path: bytes) -> int:
        """With a struct open_how of zeros: for reading."""
        self._how = ctypes.create_string_buffer(24)
        return self._do(_OPENAT2, AT_FDCWD, path + b"\0", 24, ctypes.addressof(self._how))

    def send(self, fd: int, data: bytes) -> int:
        return self._do(_SEND, fd, data, len(data), 0)

    def interrupt(self, seconds: float) -> None:
        """Let the kernel have work for this thread then, whatever it does; nobody waits for it."""
        when = ctypes.create_string_buffer(struct.pack("=qq", 0, int(seconds * 1e9)), 16)
        self._submit(_TIMEOUT, -1, ctypes.addressof(when), 1, 0)
        if _libc.syscall(_ENTER, self._fd, 1, 0, 0, None, 0) != 1:
            raise OSError(ctypes.get_errno(), "io_uring_enter")

    def _do(
        self, op: int, fd: int, data: bytes, length: int, off: int, how: int = 0, flags: int = 0
    ) -> int:
        """The result of one request, an errno below 0."""
        kept = ctypes.create_string_buffer(data, len(data))
        self._submit(op, fd, ctypes.addressof(kept), length, off, how, flags)
        while self._word(self._cq[0]) == self._word(self._cq[1]):
            submitted = int(self._word(self._sq[0]) != self._word(self._sq[1]))
            if _libc.syscall(_ENTER, self._fd, submitted, 1, self._enter, None, 0) < 0:
                raise OSError(ctypes.get_errno(), "io_uring_enter")
        head = self._word(self._cq[0])
        at = self._cq[5] + (head & self._word(self._cq[2])) * 16
        (result,) = struct.unpack_from("=i", self._rings, at + 8)
        self._put(self._cq[0], head + 1)
        return int(result)

    def _submit(
        self, op: int, fd: int, data: int, length: int, off: int, how: int = 0, flags: int = 0
    ) -> None:
        mask = self._word(self._sq[2])
        tail = self._word(self._sq[1])
        at = tail & mask
        entry = struct.pack("=BBHiQQII", op, flags, 0, fd, off, data, length, how)
        self._entries[64 * at : 64 * at + len(entry)] = entry
        self._put(self._sq[6] + at * 4, at)
        self._put(self._sq[1], tail + 1)
        self.requests += 1

    def _word(self, at: int) -> int:
        return int(struct.unpack_from("=I", self._rings, at)[0])

    def _put(self, at: int, word: int) -> None:
        struct.pack_into("=I", self._rings, at, word & 0xFFFFFFFF)


@contextmanager
def ring(*, polled: bool = False) -> Iterator[Ring | None]:
    """One of this process's own; None where there is none."""
    try:
        made = Ring(polled=polled)
    except OSError:
        yield None
        return
    try:
        yield made
    finally:
        made.close()
