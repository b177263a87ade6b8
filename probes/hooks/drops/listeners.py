"""Whose socket it was: what counters have, by the listener's or receiver's port and process.

Every socket counts what it drops (sk_drops), with what kfree_skb tells of a listener beside. So a
socket is given no more than its namespace's counter grew meanwhile: whose accept queue is full
comes first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from socket import AF_INET
from typing import NamedTuple

from probes.errors import ProbeError
from probes.hooks.drops.counters import LISTEN, UDP, Growth
from probes.kernel.net_namespaces import inside
from probes.kernel.netlink import sock_diag
from probes.kernel.netlink.sock_diag import Receiver
from probes.kernel.procfs import Owner, SocketOwners
from probes.toolkit.bounded import Bounded

POOLS = {LISTEN: "tcp", **dict.fromkeys(UDP.values(), "udp")}
"""Counters that sockets have a share in, and the protocol."""
_MOST_SOCKETS = 64
"""Of a share, as many as are looked for."""
_WORDS = {
    "TcpExtListenOverflows": "accept queue full",
    "TcpExtTCPReqQFullDrop": "request queue full",
}


class Share(NamedTuple):
    """Of a counter, in a namespace. why: "" as the counter says. port: 0: of no known socket."""

    netns: int
    counter: str
    why: str
    port: int


class Shares:
    """What of a counter each port has; adds up, never goes back."""

    def __init__(self) -> None:
        self._last: dict[int, dict[int, int]] = {}
        self._late: dict[int, dict[int, int]] = {}
        self._owned: dict[Share, dict[int, Owner | None]] = {}
        self._owners = SocketOwners()
        self.counted: dict[Share, int] = defaultdict(int)

    def add(self, netns: int, pid: int | None, grown: Growth, pools: Iterable[str]) -> None:
        """Divides what was added to these counters of a namespace among its sockets.

        Sockets of other namespaces are looked at first, and when there is something to divide.
        """
        wanted = [p for p in pools if p in grown]
        if not wanted or (pid and netns in self._last and not any(grown[p] for p in wanted)):
            return
        protocols = dict.fromkeys(POOLS[p] for p in wanted)
        sockets = _sockets(netns, pid, tuple(protocols))
        first = netns not in self._last
        new = self._new(netns, [s for of in sockets.values() for s in of])
        late = self._late.get(netns, {})
        more = {cookie: n + late.get(cookie, 0) for cookie, n in new.items()}
        for pool in wanted:
            self._divide(netns, pool, grown, sockets[POOLS[pool]], more)
        # Counters are read before sockets: what was dropped between is placed the next time.
        left = {} if first else {c: min(n, new[c]) for c, n in more.items() if min(n, new[c])}
        self._late[netns] = left

    def forget(self, netns: int) -> None:
        """Let go of a namespace that has gone."""
        self._last.pop(netns, None)
        self._late.pop(netns, None)
        for share in [share for share in self.counted if share.netns == netns]:
            del self.counted[share]
            self._owned.pop(share, None)

    def owner(self, share: Share) -> Owner | None:
        """The process behind a port; None where there are several, or nobody knows."""
        owners = {o for o in self._owned.get(share, {}).values() if o is not None}
        return owners.pop() if len(owners) == 1 else None

    def name(self) -> None:
        """Looks for the processes of all sockets that have a share."""
        wanted = {inode for found in self._owned.values() for inode in found if inode}
        known = self._owners.find(wanted)
        for found in self._owned.values():
            found.update({inode: known[inode] for inode in found if inode in known})

    def _new(self, netns: int, sockets: list[Receiver]) -> dict[int, int]:
        """What each socket, by its cookie, dropped since it was looked at."""
        last = self._last.get(netns, {})
        self._last[netns] = {s.cookie: s.drops for s in sockets}
        # 32 bits in the kernel's message
        return {s.cookie: (s.drops - last.get(s.cookie, 0)) % 2**32 for s in sockets}

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
    """Which socket comes first: one of IPv6 may receive IPv4 as well."""
    other = pool != LISTEN and (s.family == AF_INET) is not (pool == UDP["4"])
    return other, not s.full, -dropped


def _why(pool: str, grown: Growth) -> str:
    """What all of it was, where one of the counters within has all of it; else ""."""
    within = (why for name, why in _WORDS.items() if grown.get(name) == grown[pool])
    return next(within, "") if pool == LISTEN else ""


_LISTS: Mapping[str, Callable[[], list[Receiver]]] = {
    "tcp": sock_diag.listeners,
    "udp": sock_diag.udp_receivers,
}


def _sockets(netns: int, pid: int | None, protocols: tuple[str, ...]) -> dict[str, list[Receiver]]:
    """None where this kernel lists none, or the namespace may not be entered."""
    found: dict[str, list[Receiver]] = {p: [] for p in protocols}
    with suppress(ProbeError):
        ask = partial(_list, found)
        ask() if pid is None else inside(pid, netns, ask)
    return found


def _list(found: dict[str, list[Receiver]]) -> None:
    for protocol, sockets in found.items():
        with suppress(ProbeError):
            sockets += _LISTS[protocol]()
