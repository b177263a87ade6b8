"""Limits of this process: locked memory, and open files."""

from __future__ import annotations

import os
import re
import resource


def raise_memlock() -> None:
    """Lift the limit that maps and programs are charged against before Linux 5.11, if we may."""
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
    except (ValueError, OSError):
        return


def memlock_counts() -> bool:
    """Return whether maps may be refused because locked memory is limited: before Linux 5.11."""
    release = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return soft != resource.RLIM_INFINITY and release < (5, 11)


def raise_nofile() -> None:
    """Raise the limit on open files as far as it goes: each map, program and link takes one."""
    try:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):
        return
