"""The expected memory of the safe set, as measured, before anything is attached."""

from __future__ import annotations

from probes.kernel import procfs
from probes.kernel.cpus import listed

_MAPS, OF_A_CPU, _SOCKET, _OTHER = 15_000_000, 2_000_000, 2_000, 6_000_000
"""Bytes."""


def memory(others: int = 0) -> int:
    """Return the bytes of maps, and of what is read of sockets.

    others: how many hooks there are beside the safe set.
    """
    return _MAPS + OF_A_CPU * cpus() + _SOCKET * _sockets() + _OTHER * others


def cpus() -> int:
    """Return the CPUs that a per-CPU map has a value for."""
    try:
        return len(listed("possible"))
    except (OSError, ValueError):  # no sysfs: no rung with maps stands there
        return 0


def _sockets() -> int:
    try:
        return procfs.tcp_sockets_in_use()
    except OSError:
        return 0
