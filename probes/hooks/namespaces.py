"""What each network namespace receives, sends and connects, as the kernel counts it there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from time import monotonic

from probes.kernel import capabilities, procfs
from probes.kernel.net_counters import OWN, NetCounters
from probes.kernel.net_namespaces import NetNamespaces, named, of_process, visited
from probes.toolkit import (
    Hook,
    Opening,
    Reading,
    Rung,
    Unit,
    counter,
    given,
    holder,
    key,
    owner,
    row_from,
)
from probes.toolkit import Value as Cell
from probes.units import printable

COUNTERS: Mapping[str, tuple[str, ...]] = {
    "rx_packets": ("IpInReceives", "Ip6InReceives"),
    "tx_packets": ("IpOutRequests", "Ip6OutRequests"),
    "connects": ("TcpActiveOpens",),
    "failed": ("TcpAttemptFails",),
    "segments": ("TcpOutSegs",),
    "retransmits": ("TcpRetransSegs",),
}
"""Columns, and the kernel's counters of which each is the sum."""
MOST, MOST_NAMED, SLICE = 256, 32, 0.03
"""Namespaces that are read, others that have a name and no process, and seconds that reading may
take; what is not read has no row."""


class _TrafficByNamespace:
    """Our own network namespace, and those that other processes live in."""

    def __init__(self) -> None:
        self._others = NetNamespaces()
        self._files = NetCounters(sum(COUNTERS.values(), ()))

    def read(self) -> Iterator[dict[str, Cell]]:
        own = procfs.netns()
        yield self._counted(own, None, OWN)
        others, end = self._others.find(), monotonic() + SLICE
        yield from self._uninhabited({own, *others})
        others.pop(own, None)
        for netns, pid in list(others.items())[:MOST]:
            if monotonic() > end:
                return
            found = self._counted(netns, pid, f"/proc/{pid}/net/")
            if "rx_packets" in found and of_process(pid) == netns:
                yield found

    def _uninhabited(self, known: Collection[int]) -> Iterator[dict[str, Cell]]:
        """Yield those that have a name of ip-netns(8) and no process: a router, a bridge."""
        files = {netns: file for netns, file in named().items() if netns not in known}
        some = dict(list(files.items())[:MOST_NAMED])
        for netns, counted in visited(some, lambda: self._files.read().numbers()).items():
            yield {"netns": netns, **_summed(counted)}

    def _counted(self, netns: int, pid: int | None, net: str) -> dict[str, Cell]:
        counted = self._files.read(net).numbers()
        found: dict[str, Cell] = {"netns": netns}
        if pid is not None:
            found |= {"pid": pid, "comm": printable(procfs.comm(pid) or "")}
        return found | _summed(counted)


def _summed(counted: Mapping[str, int]) -> dict[str, Cell]:
    """Return the columns of a namespace's counters."""
    found: dict[str, Cell] = {}
    for column, names in COUNTERS.items():
        if there := [counted[name] for name in names if name in counted]:
            found[column] = sum(there)
    return found


def _open(opening: Opening) -> Callable[[], Reading]:
    columns, namespaces = opening.hook.stored, _TrafficByNamespace()
    return lambda: Reading([row_from(columns, known) for known in namespaces.read()])


HOOK = Hook(
    name="namespaces",
    title="Network namespaces",
    question="What each network namespace receives, sends and connects.",
    columns=given(
        key("netns", "Netns", "number of the network namespace", Unit.NUMBER, width=10),
        *holder("oldest process in another namespace", label=False),
        counter("rx_packets", "RX packets", "IP packets received there", Unit.PACKETS),
        counter("tx_packets", "TX packets", "IP packets sent from there", Unit.PACKETS),
        counter("connects", "Connects", "TCP connections begun there"),
        counter("failed", "Failed", "TCP connections that did not come about, either way"),
        counter("segments", "Segments", "TCP segments sent, without repeated ones"),
        counter("retransmits", "Retransmits", "TCP segments sent again"),
        *owner("that process; NetNS: of this one"),
    ),
    ladder=(Rung("procfs", "nothing; others' namespaces need CAP_SYS_PTRACE", _open,
                 from_zero=False),),
    order=75,
    on_demand=True,
    rows_go=True,
    reads_with=capabilities.PROCESSES,
)  # fmt: skip
