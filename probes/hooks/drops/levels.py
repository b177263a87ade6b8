"""How full what a counter tells of is, and how much room it has: tables of the kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from probes.hooks.drops.counters import CONNTRACK, NEIGHBOURS, ORPHANS, TIME_WAIT
from probes.kernel import procfs, sysctl

Level = tuple[int | None, int | None]
"""What is there, and how much there may be; None: not known."""


def level_of(counter: str) -> Level:
    """Return the level of this network namespace, or of the host."""
    ask = _LEVELS.get(counter)
    return ask() if ask is not None else (None, None)


def _limit(name: str) -> int | None:
    value = sysctl.value(name)
    return int(value) if value is not None else None


_LEVELS: Mapping[str, Callable[[], Level]] = {
    CONNTRACK: lambda: (
        _limit("net.netfilter.nf_conntrack_count"), _limit("net.netfilter.nf_conntrack_max"),
    ),
    TIME_WAIT: lambda: (procfs.tcp_sockets_in("tw"), _limit("net.ipv4.tcp_max_tw_buckets")),
    ORPHANS: lambda: (procfs.tcp_sockets_in("orphan"), _limit("net.ipv4.tcp_max_orphans")),
    NEIGHBOURS: lambda: (
        procfs.neighbours().entries, _limit("net.ipv4.neigh.default.gc_thresh3"),
    ),
}  # fmt: skip
