"""What this process may have: locked memory, and files that are open."""

from __future__ import annotations

import resource


def raise_memlock() -> None:
    """Lifts the limit that maps and programs are charged against before Linux 5.11, if we may."""
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
    except (ValueError, OSError):
        return


def raise_nofile() -> None:
    """Open as many files as may be: each map, program and link of each interface is one."""
    try:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):
        return
