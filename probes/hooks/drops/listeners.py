"""Sockets behind counters: the port and process of the listener or receiver that dropped.

Every socket counts its own drops (sk_drops), including those of a listener that kfree_skb reports.
So a socket is assigned no more than the growth of its namespace's counter; sockets with a full
accept queue come first.
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
"""Sockets that are looked for, of each share."""
_WORDS = {
    "TcpExtListenOverflows": "accept queue full",
    "TcpExtTCPReqQFullDrop": "request queue full",
}


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
        self._owners = SocketOwners()
        self.counted: dict[Share, int] = defaultdict(int)

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
        new = self._new(netns, sockets)
        late = self._late.get(netns, {})
        more = {cookie: n + late.get(cookie, 0) for cookie, n in new.items()}
        for pool in wanted:
            self._divide(netns, pool, grown, sockets[POOLS[pool]], more)
        # Counters are read before sockets: what was dropped between is placed the next time.
        left = {} if first else {c: min(n, new[c]) for c, n in more.items() if min(n, new[c])}
        self._late[netns] = left

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
        known = self._owners.find(wanted)
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
