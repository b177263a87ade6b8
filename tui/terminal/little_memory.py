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
_M_ARENA_MAX = -8  # malloc.h of glibc


def prepare() -> None:
    """Limit the address space that threads take; call before any is started.

    glibc gives each thread 64 MB to allocate from, and it ends the process if a thread ends and
    there is no memory to load libgcc_s. Other C libraries do neither.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
        ctypes.CDLL("libgcc_s.so.1")


def unraisable(lost: sys.UnraisableHookArgs) -> None:
    """End the program on lack of memory; for sys.unraisablehook.

    Other errors end nothing, and nobody can handle them there.
    """
    if isinstance(lost.exc_value, MemoryError) or lost.exc_type is MemoryError:
        leaving.give_up(SENTENCE)
