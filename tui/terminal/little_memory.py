"""Lack of memory: what it breaks ends the program in order, and nothing waits for ever.

Code that expects it reports a refusal and tries again. Elsewhere, in an event loop or in a thread's
own machinery, something has been lost that somebody may wait for.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

from tui.terminal import leaving

SENTENCE = "there is not enough memory to continue"
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # malloc.h of glibc
_LARGE = 1 << 17


def prepare() -> None:
    """Limit memory and address space to what is used; call before threads are started.

    glibc gives each thread 64 MB to allocate from, keeps large blocks that were freed (30 MB after
    20,000 sockets were read), and ends the process if a thread ends and there is no memory to load
    libgcc_s. Other C libraries do none of this.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        ctypes.CDLL("libgcc_s.so.1")


def unraisable(lost: sys.UnraisableHookArgs) -> None:
    """End the program on lack of memory; for sys.unraisablehook.

    Other errors end nothing, and nobody can handle them there.
    """
    if isinstance(lost.exc_value, MemoryError) or lost.exc_type is MemoryError:
        leaving.give_up(SENTENCE)
