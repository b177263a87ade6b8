"""Limits of this process: locked memory, and open files."""

from __future__ import annotations

import resource


def raise_memlock() -> None:
    """Lift the limit that maps and programs are charged against before Linux 5.11, if we may."""
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
    except (ValueError, OSError):
        return


def raise_nofile() -> None:
    """Raise the limit on open files as far as it goes: each map, program and link takes one."""
    try:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):
        return
