"""Open files that the kernel is slow to close: uprobes, some 0.05 s each.

They delay the end of a process that holds hundreds of them, even after SIGKILL. So when time is
short, a child takes over what is left, and closes it in parallel.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress

from probes.errors import ProbeError
from probes.kernel import open_files

_CLOSE = """
import os, sys, threading
fds = [int(fd) for fd in sys.argv[1].split(",")]
for n in range(1, 64):
    try:
        threading.Thread(target=lambda part=fds[n::64]: [*map(os.close, part)]).start()
    except (RuntimeError, MemoryError):
        break
[*map(os.close, fds[::64])]
"""
"""Source of the child; what is left when it ends, the kernel closes."""

_lock = threading.Lock()
_held: set[int] = set()
_over = False
"""Whether files have been handed over: then ebpftop is exiting."""


def hold(fds: Iterable[int]) -> None:
    """Have files closed by `close` or by `hand_over`.

    Raises ProbeError where the latter has been called already; then these are handed over as well.
    """
    with _lock:
        _held.update(fds)
        over = _over
    if over:
        hand_over()
        raise ProbeError("ebpftop is exiting: nothing more is attached")


def close(fds: Iterable[int]) -> None:
    """Close those that are still ours. Wait for the kernel."""
    for fd in fds:
        with _lock:
            ours = fd in _held
            _held.discard(fd)
        if ours:
            open_files.close_each((fd,))


def hand_over() -> None:
    """Hand all of them to a child, without waiting. Where there can be none, they end with us."""
    global _over
    with _lock:
        _over = True
        fds = sorted(_held)
        if not fds:
            return
        with suppress(OSError, MemoryError, subprocess.SubprocessError):
            subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _CLOSE, ",".join(map(str, fds))],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            _held.clear()
            open_files.close_each(fds)
