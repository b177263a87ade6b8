"""The C library's allocator, told to keep no more memory than is used."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # malloc.h of glibc
_LARGE = 1 << 17


def prepare() -> None:
    """Limit memory and address space to what is used; call before any thread is started.

    glibc gives each thread 64 MB to allocate from (once there are such, none goes away, and all
    threads take from them), keeps large blocks that were freed (30 MB after 20,000 sockets were
    read), and ends the process if a thread ends and there is no memory to load libgcc_s. Other C
    libraries do none of this.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        ctypes.CDLL("libgcc_s.so.1")
