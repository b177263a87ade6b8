"""Sockets behind counters: the port and process of the listener or receiver that dropped.

Every socket counts its own drops (sk_drops), including those of a listener that kfree_skb reports.
So a socket is assigned no more than the growth of its namespace's counter; sockets with a full
accept queue come first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from heapq import nlargest
from math import inf
from socket import AF_INET
from time import monotonic
from typing import NamedTuple

from probes.arrays import np
from probes.errors import ProbeError
from probes.hooks.drops.counters import LISTEN, UDP, Growth
from probes.kernel.net_namespaces import inside
from probes.kernel.netlink import sock_diag
from probes.kernel.netlink.sock_diag import Receiver, TcpState
from probes.kernel.netlink.sock_table import tcp_flows
from probes.kernel.procfs import Owner, SocketOwners
from probes.toolkit.bounded import Bounded

POOLS = {LISTEN: "tcp", **dict.fromkeys(UDP.values(), "udp")}
"""Counters that sockets have a share in, and the protocol."""
_MOST_SOCKETS = 64
"""Sockets that are looked for, of each share."""
_REST = 5.0
"""Seconds between two looks at all sockets in TIME_WAIT."""
_WORDS = {
    "TcpExtListenOverflows": "accept queue full",
    "TcpExtTCPReqQFullDrop": "request queue full",
}


REQUESTS = frozenset({"TcpExtTCPReqQFullDoCookies", "TcpExtTCPReqQFullDrop"})
"""Counters of connection requests that a listener had no room for."""


class StandingQueue(NamedTuple):
    """A listener with connections that nobody has accepted yet; inode: of its socket.

    stuck, of: of those that share its port (SO_REUSEPORT), how many have such a queue, and all.
    """

    port: int
    inode: int
    waiting: int
    room: int
    stuck: int = 1
    of: int = 1


class Queues:
    """Accept queues of this namespace: what waited there in this reading and in the one before.

    Of several listeners at one port the fullest is told.
    """

    MOST, LEAST = 16, 3
    """Queues that are told, and connections that wait in each of them."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self.standing: Sequence[StandingQueue] = ()

    def look(self, listeners: Sequence[Receiver]) -> None:
        """Take a reading; what has come since the last one does not stand."""
        waiting = {s.cookie: s for s in listeners if s.waiting >= self.LEAST}
        found = [
            StandingQueue(s.port, s.inode, min(s.waiting, self._last.get(cookie, 0)), s.room)
            for cookie, s in waiting.items()
        ]
        self._last = {cookie: s.waiting for cookie, s in waiting.items()}
        some = sorted([q for q in found if q.waiting >= self.LEAST], key=lambda q: q.waiting)
        stuck, of = Counter(q.port for q in some), Counter(s.port for s in listeners)
        fullest = {q.port: q._replace(stuck=stuck[q.port], of=of[q.port]) for q in some}
        self.standing = nlargest(self.MOST, fullest.values(), key=lambda queue: queue.waiting)


class Share(NamedTuple):
    """A part of a counter, in a namespace.

    why: "" if as the counter says. port: 0 if the socket is not known.
    """

    netns: int
    counter: str
    why: str
    port: int


class Shares:
    """Parts of counters by port; they add up, and never go back."""

    def __init__(self) -> None:
        self._last: dict[int, dict[str, dict[int, int]]] = {}
        "By protocol, and by a socket's cookie."
        self._late: dict[int, dict[int, int]] = {}
        self._owned: dict[Share, dict[int, Owner | None]] = {}
        self._owners, self._held = SocketOwners(), dict[int, Owner]()
        self._asked: dict[int, Iterable[int]] = Bounded(_MOST_SOCKETS)
        "Sockets of listeners that had no room for requests, or are closed a lot, by port."
        self.queues, self.asked = Queues(), 0
        "The port that most requests are for, if there was no room for some; 0: there was."
        self.counted: dict[Share, int] = defaultdict(int)
        self._closed, self._closed_asked = 0, -inf

    def add(self, netns: int, pid: int | None, grown: Growth, pools: Iterable[str]) -> None:
        """Divide the growth of a namespace's counters among its sockets.

        Sockets of other namespaces are read only once there is something to divide.
        """
        wanted = [p for p in pools if p in grown]
        if not wanted or (pid and netns in self._last and not any(grown[p] for p in wanted)):
            return
        first = netns not in self._last
        protocols = dict.fromkeys(POOLS[p] for p in wanted)
        if not first and not any(grown[p] for p in wanted if POOLS[p] == "udp"):
            # A datagram that a socket drops is always in a counter; listeners drop others too.
            protocols.pop("udp", None)
            wanted = [p for p in wanted if POOLS[p] in protocols]
        sockets = _sockets(netns, pid, tuple(protocols))
        if pid is None:
            self._look(sockets.get("tcp", []), grown)
        new = self._new(netns, sockets)
        late = self._late.get(netns, {})
        more = {cookie: n + late.get(cookie, 0) for cookie, n in new.items()}
        for pool in wanted:
            self._divide(netns, pool, grown, sockets[POOLS[pool]], more)
        # Counters are read before sockets: what was dropped between is placed the next time.
        left = {} if first else {c: min(n, new[c]) for c, n in more.items() if min(n, new[c])}
        self._late[netns] = left

    def _look(self, listeners: Sequence[Receiver], grown: Growth) -> None:
        """Look at the queues of this namespace's listeners."""
        self.queues.look(listeners)
        self.asked = 0
        if any(grown.get(name) for name in REQUESTS):
            self.asked = _most_requested()
            found = [s.inode for s in listeners if s.port == self.asked]
            if found:
                self._asked[self.asked] = found

    def closed(self) -> int:
        """Return the port of most connections in TIME_WAIT; 0 where that is not known.

        Asked again after some seconds, as there may be many.
        """
        if monotonic() - self._closed_asked >= _REST:
            listeners = _sockets(0, None, ("tcp",))["tcp"]
            self._closed = _most_closed({s.port for s in listeners})
            self._asked[self._closed] = [s.inode for s in listeners if s.port == self._closed]
            self._closed_asked = monotonic()
        return self._closed

    def asker(self, port: int) -> Owner | None:
        """Return the process that listens at a port which is asked for too much."""
        owners = {self._held[inode] for inode in self._asked.get(port, ()) if inode in self._held}
        return owners.pop() if len(owners) == 1 else None

    def listener(self, queue: StandingQueue) -> Owner | None:
        """Return the process that holds a listener."""
        return self._held.get(queue.inode)

    def forget(self, netns: int) -> None:
        """Forget a namespace that is gone."""
        self._last.pop(netns, None)
        self._late.pop(netns, None)
        for share in [share for share in self.counted if share.netns == netns]:
            del self.counted[share]
            self._owned.pop(share, None)

    def owner(self, share: Share) -> Owner | None:
        """Return the process behind a port; None where there are several, or it is not known."""
        owners = {o for o in self._owned.get(share, {}).values() if o is not None}
        return owners.pop() if len(owners) == 1 else None

    def name(self) -> None:
        """Find the processes of all sockets that have a share."""
        wanted = {inode for found in self._owned.values() for inode in found if inode}
        wanted |= {inode for found in self._asked.values() for inode in found}
        wanted |= {queue.inode for queue in self.queues.standing}
        self._held = known = self._owners.find(wanted)
        for found in self._owned.values():
            found.update({inode: known[inode] for inode in found if inode in known})

    def _new(self, netns: int, sockets: Mapping[str, list[Receiver]]) -> dict[int, int]:
        """Return what each socket, by its cookie, dropped since the previous look."""
        known, new = self._last.setdefault(netns, {}), dict[int, int]()
        for protocol, found in sockets.items():
            last = known.get(protocol, {})
            known[protocol] = {s.cookie: s.drops for s in found}
            # 32 bits in the kernel's message
            new |= {s.cookie: (s.drops - last.get(s.cookie, 0)) % 2**32 for s in found}
        return new

    def _divide(
        self, netns: int, pool: str, grown: Growth, sockets: list[Receiver], more: dict[int, int]
    ) -> None:
        left, why = grown[pool], _why(pool, grown)
        could = [s for s in sockets if s.family != AF_INET or pool != UDP["6"]]
        for s in sorted(could, key=lambda s: _order(pool, s, more[s.cookie])):
            if part := min(left, more[s.cookie]):
                left -= part
                more[s.cookie] -= part
                share = Share(netns, pool, why, s.port)
                self.counted[share] += part
                owned = self._owned.setdefault(share, Bounded(_MOST_SOCKETS))
                owned[s.inode] = owned.get(s.inode)
        if left:
            self.counted[Share(netns, pool, why, 0)] += left


def _order(pool: str, s: Receiver, dropped: int) -> tuple[bool, bool, int]:
    """Return the order of sockets: an IPv6 one may receive IPv4 as well."""
    other = pool != LISTEN and (s.family == AF_INET) is not (pool == UDP["4"])
    return other, not s.full, -dropped


def _why(pool: str, grown: Growth) -> str:
    """Return the one cause of all of it, if a single counter within accounts for it; else ""."""
    within = (why for name, why in _WORDS.items() if grown.get(name) == grown[pool])
    return next(within, "") if pool == LISTEN else ""


def _most_requested() -> int:
    """Return the port that most connections are requested of; 0 where it is not known."""
    with suppress(ProbeError):
        requests = sock_diag.tcp_sockets(sock_diag.mask(TcpState.SYN_RECV))
        ports = Counter(s.lport for s in requests).most_common(1)
        return ports[0][0] if ports else 0
    return 0


def _most_closed(served: Collection[int]) -> int:
    """Return the port of most connections in TIME_WAIT: of a listener here, else of the peers'."""
    with suppress(ProbeError):
        flows = tcp_flows(sock_diag.mask(TcpState.TIME_WAIT))
        here = np.isin(flows["lport"], np.array(sorted(served), "=u4"))
        ports = np.where(here, flows["lport"], flows["rport"])
        return int(np.bincount(ports).argmax()) if len(ports) else 0
    return 0


_LISTS: Mapping[str, Callable[[], list[Receiver]]] = {
    "tcp": sock_diag.listeners,
    "udp": sock_diag.udp_receivers,
}


def _sockets(netns: int, pid: int | None, protocols: tuple[str, ...]) -> dict[str, list[Receiver]]:
    """Return the sockets; None where this kernel lists none, or the namespace cannot be entered."""
    found: dict[str, list[Receiver]] = {p: [] for p in protocols}
    with suppress(ProbeError):
        ask = partial(_list, found)
        ask() if pid is None else inside(pid, netns, ask)
    return found


def _list(found: dict[str, list[Receiver]]) -> None:
    for protocol, sockets in found.items():
        with suppress(ProbeError):
            sockets += _LISTS[protocol]()
