"""Losses that the kernel counts without freeing a packet, by nstat's names, and how they are read.

kfree_skb does not report everything. A connection request that a listener has no room for is
consumed like one that was accepted; where memory is short or no route leads to an address, there
was never a packet. Such losses have counters, in each network namespace. The table below says which
counters a tracepoint covers as well, and under which reasons, so that nothing is shown twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from time import thread_time
from typing import Generic, NamedTuple, Protocol, TypeVar

from probes.hooks.drops import reasons as drop_reasons
from probes.kernel import btf, procfs, tracefs
from probes.kernel.net_counters import Counts, NetCounters
from probes.kernel.net_namespaces import NetNamespaces, cookie, of_process


class CounterUnit(StrEnum):
    """The unit of the number in a row."""

    PACKETS = "packets"
    """Packets that no other row has."""
    AGAIN = "again"
    """Packets that another row has as well: this one says more about them."""
    EVENTS = "events"
    """Events that lost no packet."""


class Freeing(StrEnum):
    """The part of a counter's dropped packets that the kernel frees as such (kfree_skb)."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter and what the tracepoint sees of it.

    why: in words. freed: as the tracepoint sees it, under these `reasons` where the kernel has
    them, or "REASON@function". within: the counter that includes all of this one. event: it does
    not count packets. beside: it tells more than the reason does, so it is shown beside that.
    """

    name: str
    why: str
    freed: Freeing = Freeing.ALL
    reasons: tuple[str, ...] = ()
    within: str = ""
    event: bool = False
    beside: bool = False

    def told_by(self, reason: str, function: str) -> bool:
        """Return whether this counter includes packets freed with this reason in this function."""
        return reason in self.reasons or f"{reason}@{function}" in self.reasons


LISTEN, CONNTRACK = "TcpExtListenDrops", "ConntrackDrop"
TIME_WAIT, ORPHANS = "TcpExtTCPTimeWaitOverflow", "TcpExtTCPAbortOnMemory"
NEIGHBOURS = "NeighTableFulls"
UDP = {"4": "UdpInErrors", "6": "Udp6InErrors"}


def _both(name: str, why: str, *reasons: str, freed: Freeing = Freeing.ALL) -> tuple[Counter, ...]:
    """Return the counter for IPv4 and for IPv6, which differ in the prefix only."""
    return tuple(Counter(f"{ip}{name}", why, freed, reasons) for ip in ("Ip", "Ip6"))


def _udp(
    name: str, why: str, freed: Freeing, reasons: str, within: str = ""
) -> tuple[Counter, ...]:
    return tuple(
        Counter(f"{udp}{name}", why, freed, tuple(reasons.split()), within and f"{udp}{within}")
        for udp in ("Udp", "Udp6", "UdpLite", "UdpLite6")
    )


def _tcp(name: str, why: str, *reasons: str) -> Counter:
    return Counter(f"TcpExt{name}", why, Freeing.ALL, reasons)


def _event(name: str, why: str) -> Counter:
    return Counter(f"TcpExt{name}", why, Freeing.NONE, event=True)


# From the kernel's Documentation/networking/snmp_counter.rst and the places that count. A request
# (SYN) is consumed, and what completes it (ACK) freed, with a reason since Linux 6.15.
_OVERFLOWN = (
    "TCP_LISTEN_OVERFLOW",
    "NO_SOCKET@cookie_v4_check",
    "NO_SOCKET@cookie_v6_check",
)
ALL: Mapping[str, Counter] = {
    counter.name: counter
    for counter in (
        Counter(LISTEN, "connection request dropped", Freeing.SOME, _OVERFLOWN),
        Counter("TcpExtListenOverflows", "accept queue full", Freeing.SOME, (), LISTEN),
        Counter("TcpExtTCPReqQFullDrop", "request queue full", Freeing.NONE, (), LISTEN),
        _event("TCPReqQFullDoCookies", "request queue full: cookies"),
        _event("SyncookiesSent", "SYN cookie sent"),
        _event("SyncookiesRecv", "SYN cookie came back"),
        _tcp("SyncookiesFailed", "SYN cookie not valid"),
        _event("TCPFastOpenListenOverflow", "Fast Open queue full"),
        _tcp("TCPBacklogDrop", "socket's backlog full", "SOCKET_BACKLOG"),
        _tcp("TCPRcvQDrop", "receive buffer full", "PROTO_MEM"),
        _tcp("TCPOFODrop", "no memory, out of order", "PROTO_MEM"),
        _tcp("TCPZeroWindowDrop", "receive window closed", "TCP_ZEROWINDOW"),
        _event("PruneCalled", "receive buffer pruned"),
        _event("RcvPruned", "pruning freed too little"),
        _event("OfoPruned", "out-of-order queue pruned"),
        _event("TCPRcvCollapsed", "receive queue collapsed"),
        _event("TCPMemoryPressures", "TCP short of memory"),
        Counter(ORPHANS, "connection aborted: memory", Freeing.NONE, event=True),
        Counter(TIME_WAIT, "too many in TIME_WAIT", Freeing.NONE, event=True),
        Counter(NEIGHBOURS, "neighbour table full", Freeing.NONE, event=True),
        Counter("IpReasmFails", "fragments not reassembled", Freeing.NONE, event=True),
        Counter("Ip6ReasmFails", "fragments not reassembled", Freeing.NONE, event=True),
        _tcp("PFMemallocDrop", "memory kept for swap", "PFMEMALLOC"),
        _tcp("TCPMinTTLDrop", "TTL below minimum", "TCP_MINTTL"),
        _tcp("TCPDeferAcceptDrop", "deferred: no data yet"),
        _tcp("PAWSActive", "old timestamp, connecting", "TCP_RFC7323_PAWS"),
        _tcp("PAWSEstab", "old timestamp", "TCP_RFC7323_PAWS"),
        _tcp("IPReversePathFilter", "reverse path filter", "IP_RPFILTER"),
        Counter("TcpExtOutOfWindowIcmps", "ICMP out of window", Freeing.NONE),
        Counter("TcpExtLockDroppedIcmps", "ICMP: socket busy", Freeing.NONE),
        Counter("TcpInErrs", "TCP: bad segment", Freeing.ALL, ("TCP_CSUM",)),
        *_udp("NoPorts", "no listener", Freeing.ALL, "NO_SOCKET"),
        *_udp("InErrors", "rejected by the socket", Freeing.ALL, "SOCKET_RCVBUFF UDP_CSUM"),
        *_udp("RcvbufErrors", "receive buffer full", Freeing.ALL, "SOCKET_RCVBUFF", "InErrors"),
        *_udp("MemErrors", "UDP short of memory", Freeing.ALL, "PROTO_MEM", "InErrors"),
        *_udp("SndbufErrors", "send buffer full", Freeing.NONE, ""),
        *_both("InHdrErrors", "bad header, TTL expired", "IP_INHDR"),
        *_both("InTooBigErrors", "too big to forward", "PKT_TOO_BIG"),
        *_both("InAddrErrors", "bad address", "IP_INADDRERRORS"),
        *_both("InUnknownProtos", "protocol not known", "IP_NOPROTO"),
        *_both("InDiscards", "discarded on input", "NOMEM"),
        *_both("InNoRoutes", "no route in", "IP_INNOROUTES"),
        *_both("InTruncatedPkts", "truncated", "PKT_TOO_SMALL"),
        Counter("IpExtInNoRoutes", "no route in", Freeing.ALL, ("IP_INNOROUTES",)),
        Counter("IpExtInTruncatedPkts", "truncated", Freeing.ALL, ("PKT_TOO_SMALL",)),
        *_both(
            "OutDiscards", "discarded on output",
            "NETFILTER_DROP", "QDISC_DROP", "NEIGH_FAILED", "NEIGH_QUEUEFULL",
            freed=Freeing.SOME,
        ),
        *_both("OutNoRoutes", "no route out", "IP_OUTNOROUTES", freed=Freeing.SOME),
        Counter("IcmpInErrors", "bad or unmatched ICMP", Freeing.SOME, ("ICMP_CSUM",)),
        Counter("Icmp6InErrors", "bad or unmatched ICMP", Freeing.SOME, ("ICMP_CSUM",)),
        Counter("SoftnetDropped", "CPU's backlog full", Freeing.ALL, ("CPU_BACKLOG",)),
        Counter(
            CONNTRACK, "connection tracking full", Freeing.ALL, ("NETFILTER_DROP",),
            beside=True,
        ),
    )
}  # fmt: skip


def known_reasons() -> frozenset[str]:
    """Return the names of the reasons that this kernel has."""
    names = btf.enum("skb_drop_reason") if btf.available() else None
    names = names or tracefs.symbols(*drop_reasons.FIELD) or {}
    return frozenset(name.removeprefix("SKB_DROP_REASON_") for name in names.values())


def shown(reasons: Collection[str] | None, *, traced: bool = True) -> dict[str, CounterUnit]:
    """Return what a rung shows of `ALL`, and what each number counts there.

    traced: whether it has kfree_skb. reasons: those that the kernel gives, None: the rung has none.
    """
    return {
        name: counts
        for name, counter in ALL.items()
        if (counts := _shown(counter, reasons, traced)) is not None
    }


def _shown(counter: Counter, reasons: Collection[str] | None, traced: bool) -> CounterUnit | None:
    if counter.event:
        return CounterUnit.EVENTS
    if counter.within:
        told = traced and counter.freed is Freeing.ALL and _told(counter, reasons)
        return None if told else CounterUnit.AGAIN
    if not traced or counter.freed is Freeing.NONE:
        return CounterUnit.PACKETS
    if counter.freed is Freeing.SOME:
        return CounterUnit.PACKETS
    return None if _told(counter, reasons) and not counter.beside else CounterUnit.AGAIN


def _told(counter: Counter, reasons: Collection[str] | None) -> bool:
    return bool(counter.reasons) and reasons is not None and {*counter.reasons} <= {*reasons}


def of_other_files() -> dict[str, int]:
    """Return the counters that are in none of nstat's files: of the host, or of our namespace."""
    return {
        "SoftnetDropped": procfs.softnet_dropped(),
        CONNTRACK: procfs.conntrack_dropped(),
        NEIGHBOURS: procfs.neighbours().fulls,
    }


Growth = Mapping[str, int]
"""Growth of each counter since the previous reading."""


class _LastCounts(NamedTuple):
    """A namespace's counters in the previous reading."""

    counts: Counts
    numbers: Mapping[str, int]


class Namespaces:
    """Counters of this network namespace and of those that other processes live in.

    At most `MAX_FOLLOWED` others are followed, for `SLICE` seconds of CPU at once: the rest come
    first in the next reading. from_now: count from the first reading, not from the kernel's zero.
    """

    MAX_FOLLOWED, SLICE = 64, 0.005
    REMEMBERED = 1024
    """Namespaces whose last counters are kept, including those that are gone."""

    def __init__(self, *, from_now: bool) -> None:
        self._from_now = from_now
        self._others = NetNamespaces()
        self._files = NetCounters(ALL)
        self._last: dict[int, _LastCounts] = {}
        self._cookies: dict[int, int] = {}
        self._met: dict[int, int] = {}
        "For each namespace, the process through which it was found."
        self._turn: list[int] = []
        self.there: AbstractSet[int] = frozenset()
        "Namespaces known to exist, by inode."
        self.left_out = 0
        "The greatest number of others that were not followed."

    def read(self, own: int) -> Iterator[tuple[int, int | None, Growth]]:
        """Return each namespace's inode, a process in it (None: this one), and what was added."""
        yield own, None, self._grown(own, self._files.read(), of_other_files())
        others = self._others.find()
        self._met = {n: pid for n, pid in self._met.items() if others.get(n) == pid}
        self.there = {own, *others}
        others.pop(own, None)
        self.left_out = max(self.left_out, len(others) - self.MAX_FOLLOWED)
        begin = thread_time()
        for namespace in self._in_turn(others):
            if thread_time() - begin > self.SLICE:
                return
            self._turn.append(namespace)
            counts = self._files.read(f"/proc/{others[namespace]}/net/")
            if counts.names and of_process(others[namespace]) == namespace:
                if namespace not in self._met:
                    self._meet(namespace, others[namespace])
                yield namespace, others[namespace], self._grown(namespace, counts, {})

    def _meet(self, namespace: int, pid: int) -> None:
        """Note a namespace found through a process.

        Inode numbers are soon used again: if other processes are in it, it may be another
        namespace.
        """
        self._met[namespace] = pid
        known = self._cookies.pop(namespace, 0)
        self._cookies[namespace] = now = cookie(pid, namespace)
        if known and now and known != now:
            self._last[namespace] = _LastCounts(Counts((), ()), dict.fromkeys(ALL, 0))
        if len(self._cookies) > self.REMEMBERED:
            del self._cookies[next(iter(self._cookies))]

    def ever(self, namespace: int, name: str) -> bool:
        """Return whether the kernel has counted anything there since it made the namespace."""
        last = self._last.get(namespace)
        return last is not None and bool(last.numbers.get(name))

    def _in_turn(self, others: Collection[int]) -> list[int]:
        """Return the namespaces, the one that has waited longest first."""
        known = [n for n in dict.fromkeys(reversed(self._turn)) if n in others][: self.MAX_FOLLOWED]
        known.reverse()
        self._turn = list(known)
        new = [n for n in others if n not in known]
        return [*new[: self.MAX_FOLLOWED - len(known)], *known]

    def _grown(self, namespace: int, counts: Counts, more: Mapping[str, int]) -> Growth:
        """Return the growth since the previous reading. more: counters of other files.

        A counter that went back belongs to another namespace, which now has the number.
        """
        before = self._last.pop(namespace, None)
        if (
            before is not None
            and before.counts == counts
            and before.numbers.items() >= more.items()
        ):
            self._last[namespace] = before
            return dict.fromkeys(before.numbers, 0)
        now = {**counts.numbers(), **more}
        self._last[namespace] = _LastCounts(counts, now)
        if len(self._last) > self.REMEMBERED:
            del self._last[next(iter(self._last))]
        last = before.numbers if before is not None else None
        if last is None:
            counted = self._from_now and not self._others.is_new(namespace)
            return dict.fromkeys(now, 0) if counted else now
        return {n: v - last[n] if v >= last.get(n, 0) else v for n, v in now.items() if n in last}


class InNamespace(Protocol):
    """A counter of a network namespace."""

    @property
    def netns(self) -> int: ...
    @property
    def counter(self) -> str: ...


T = TypeVar("T", bound=InNamespace)


class Rest(Generic[T]):
    """The part of a counter that no row of the tracepoint has; never goes back."""

    def __init__(self) -> None:
        self._shown: dict[T, int] = defaultdict(int)

    def of(self, key: T, counted: int, seen: int) -> int:
        self._shown[key] = max(self._shown[key], counted - seen)
        return self._shown[key]

    def forget(self, netns: int) -> Mapping[str, int]:
        """Forget a namespace; return what the rest was there, by counter."""
        found: dict[str, int] = defaultdict(int)
        for key in [key for key in self._shown if key.netns == netns]:
            found[key.counter] += self._shown.pop(key)
        return found
