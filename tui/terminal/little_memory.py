"""Little memory: what it breaks ends the program in order, and nothing is waited for for ever.

What fails for want of memory in code that expects it is a refusal and is tried again. Elsewhere, in
an event loop or in a thread's own machinery, something has been lost that somebody may wait for.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

from tui.terminal import leaving

SENTENCE = "there is too little memory to go on"
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # malloc.h of glibc
_LARGE = 1 << 17


def prepare() -> None:
    """Before threads are started: take no more memory, and no more address space, than is used.

    glibc gives each thread 64 MB of it to allocate from, keeps large pieces that were freed (30 MB
    after 20,000 sockets were read), and ends the process where a thread ends and there is no memory
    to load libgcc_s with. Other C libraries do none of this.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        ctypes.CDLL("libgcc_s.so.1")


def unraisable(lost: sys.UnraisableHookArgs) -> None:
    """For sys.unraisablehook. Other mistakes end nothing, and nobody there can mend them."""
    if isinstance(lost.exc_value, MemoryError) or lost.exc_type is MemoryError:
        leaving.give_up(SENTENCE)
