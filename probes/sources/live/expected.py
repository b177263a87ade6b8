"""What the safe set will take once it stands, as measured: before anything does."""

from __future__ import annotations

from pathlib import Path

from probes.kernel.cpus import listed

_MAPS, OF_A_CPU, _SOCKET = 15_000_000, 2_000_000, 2_000
"""Bytes."""


def memory() -> int:
    """Bytes of maps, and of what is read of sockets."""
    return _MAPS + OF_A_CPU * cpus() + _SOCKET * _sockets()


def cpus() -> int:
    """Return the CPUs that a per-CPU map has a value for."""
    try:
        return len(listed("possible"))
    except (OSError, ValueError):  # no sysfs: no rung with maps stands there
        return 0


def _sockets() -> int:
    """TCP sockets of this network namespace (proc_net(5): sockstat)."""
    try:
        lines = Path("/proc/thread-self/net/sockstat").read_text().splitlines()
        return next(int(line.split()[2]) for line in lines if line.startswith("TCP: inuse "))
    except (OSError, ValueError, StopIteration):
        return 0
