"""Capabilities, and giving them up for good (capset(2), prctl(2)); see capabilities(7)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_VERSION_3 = 0x20080522  # include/uapi/linux/capability.h: two words for each set
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38
_EPERM = 1
_libc = ctypes.CDLL(None, use_errno=True)


def keep(wanted: Iterable[int]) -> None:
    """Keep those of `wanted` that are there and give up all others, in every set.

    This holds for the calling thread, and for the threads and processes that it starts from now on:
    no program that they run, setuid or not, gets one back. Raises OSError.
    """
    mask = sum(1 << number for number in wanted)
    effective, permitted, inheritable = _now()
    _leave_bounds(mask)  # needs CAP_SETPCAP, which goes with the others
    sets = [effective & mask, permitted & mask, inheritable & mask]
    header = struct.pack("=Ii", _VERSION_3, 0)
    words = [part for low in (0, 32) for s in sets for part in [s >> low & 0xFFFFFFFF]]
    _check(_libc.capset(header, struct.pack("=6I", *words)), "capset")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def effective() -> int:
    """Return the calling thread's effective capabilities as a bit mask. Raises OSError."""
    try:
        return _now()[0]
    except OSError:  # a filter on system calls
        return _told(Path("/proc/thread-self"), "CapEff")


def permitted(pid: int) -> int:
    """Return a process's permitted capabilities (main thread) as a bit mask. Raises OSError."""
    try:
        return _now(pid)[1]
    except OSError:
        return _told(Path("/proc", str(pid)), "CapPrm")


def more_than_ours(pid: int) -> bool:
    """Return whether a process has what our main thread gave up (`keep`). Raises OSError.

    What root dropped by other means comes back with the next program that it runs, so a child of
    ours may have it.
    """
    more = permitted(pid) & ~permitted(os.getpid())
    if not more:
        return False
    ours = Path("/proc/self")
    comes_back = 0 if _told(ours, "NoNewPrivs") else _told(ours, "CapBnd")
    return bool(more & ~comes_back)


def _told(process: Path, name: str) -> int:
    """Return a mask of /proc/PID/status; 0 where this kernel has no such line. Raises OSError."""
    lines = (process / "status").read_text(errors="replace").splitlines()
    return next((int(w[1], 16) for w in map(str.split, lines) if w[0] == f"{name}:"), 0)


def _now(pid: int = 0) -> tuple[int, int, int]:
    """Return effective, permitted, inheritable, by capget(2): it needs no file and no /proc."""
    words = ctypes.create_string_buffer(24)
    _check(_libc.capget(struct.pack("=Ii", _VERSION_3, pid), words), "capget")
    low, high = struct.unpack("=3I3I", words.raw)[:3], struct.unpack("=3I3I", words.raw)[3:]
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    return effective, permitted, inheritable


def _leave_bounds(mask: int) -> None:
    """Shrink the bounding set, so that running another program cannot bring anything back."""
    for number in range(64):
        there = _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0)
        if there < 0:
            return  # the kernel knows no more of them
        if there and not mask >> number & 1 and _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0):
            if ctypes.get_errno() == _EPERM:
                return  # without CAP_SETPCAP; no_new_privs says the same
            _check(-1, "bounding set")


def _check(result: int, what: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
