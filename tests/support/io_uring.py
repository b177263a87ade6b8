"""Connects that a kernel thread of io_uring makes for this process; no library has the calls."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_SETUP, _ENTER = 425, 426
_SQPOLL, _ASYNC, _CONNECT, _GETEVENTS, _WAKEUP = 2, 1 << 4, 16, 1, 2
_SQES = 0x10000000


def connect(port: int, times: int, *, polled: bool) -> int:
    """Connects to 127.0.0.1, one after the other; how often that was refused.

    polled: the thread that takes requests does it (SQPOLL), else a worker. Raises OSError where
    this kernel has no io_uring.
    """
    params = bytearray(120)
    struct.pack_into("=I", params, 8, _SQPOLL * polled)
    raw = (ctypes.c_char * 120).from_buffer(params)
    ring = _libc.syscall(_SETUP, 4, raw)
    if ring < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    sq, cq = struct.unpack_from("=7I", params, 40), struct.unpack_from("=6I", params, 80)
    (entries,) = struct.unpack_from("=I", params, 4)
    refused, size = 0, max(cq[5] + entries * 16, sq[6] + entries * 4)
    with mmap.mmap(ring, size) as rings, mmap.mmap(ring, 4 * 64, offset=_SQES) as sqes:
        for n in range(times):
            name = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, b"\x7f\0\0\1")
            to = ctypes.create_string_buffer(name, len(name))
            how = 0 if polled else _ASYNC
            with socket.socket() as s:
                request = (_CONNECT, how, 0, s.fileno(), len(name), ctypes.addressof(to))
                sqes[:64] = struct.pack("=BBHiQQ40x", *request)
                rings[sq[6] : sq[6] + 16] = bytes(16)
                rings[sq[1] : sq[1] + 4] = struct.pack("=I", n + 1)
                flags = _GETEVENTS | _WAKEUP * polled
                assert _libc.syscall(_ENTER, ring, 1, 1, flags, None, 0) >= 0
                (result,) = struct.unpack_from("=i", rings, cq[5] + 16 * (n % entries) + 8)
                refused += result == -errno.ECONNREFUSED
                rings[cq[0] : cq[0] + 4] = struct.pack("=I", n + 1)
    os.close(ring)
    return refused
