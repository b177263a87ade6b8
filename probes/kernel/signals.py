"""Signals that are blocked in a thread for a while."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def blocked(signals: Iterable[int]) -> Iterator[None]:
    """Block them in this thread; they come afterwards.

    Where a seccomp filter refuses to change the mask, they come as ever.
    """
    try:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
