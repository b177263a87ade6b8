"""The other ends of veth pairs, in which network namespace they are, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from threading import Lock
from time import monotonic
from typing import NamedTuple

from probes.errors import ProbeError
from probes.kernel import net_namespaces, procfs, shared_namespaces
from probes.kernel.netlink import nsid, route
from probes.owners import state_files
from probes.owners.processes import shared
from probes.units import printable

REST, UNKNOWN_REST = 5.0, 1.0
"""Seconds until they are looked for again, and while some are not known."""
MOST, SLICE = 256, 0.008
"""Namespaces that are looked into, and seconds that this takes at a time."""
NAMES_REST = 30.0
"""Seconds until a namespace is looked into again."""


class Peer(NamedTuple):
    """The other end. netns: the inode of its namespace; None: it is in this one, or not known.

    interface: its name, or "if5" where that namespace may not be entered. called: the namespace.
    container: the container whose that is.
    """

    ifindex: int
    interface: str
    netns: int | None = None
    called: str | None = None
    container: str | None = None

    def __str__(self) -> str:
        return f"{self.interface} in {self.called}" if self.called else self.interface


class _Elsewhere(NamedTuple):
    """A network namespace: a process in it, 0 if none is known, and a file to enter it by."""

    inode: int
    pid: int
    file: str


_NOT_SEEN: tuple[Mapping[int, str], float] = {}, 0.0


class Peers:
    """Other ends by ifindex. Not thread-safe."""

    def __init__(self) -> None:
        self._there: frozenset[tuple[int, int, int | None]] = frozenset()
        self._known: dict[int, Peer] = {}
        self._inside: dict[int, tuple[Mapping[int, str], float]] = {}
        self._numbers: dict[_Elsewhere, int] = {}
        "Of those that have one: a namespace keeps it as long as it is there."
        self._next, self._more = 0.0, False

    def of(self, links: Iterable[route.Interface]) -> Mapping[int, Peer]:
        """Return the other end of each veth among these interfaces of this thread's namespace."""
        veths = {
            (x.ifindex, x.link, x.link_netnsid): x for x in links if x.kind == "veth" and x.link
        }
        now = monotonic()
        if now >= self._next or self._there != veths.keys():
            self._there = frozenset(veths)
            with suppress(OSError, ProbeError):  # as they were, then
                self._known = self._looked(veths.values())
            whole = len(self._known) == len(veths) and not self._more
            self._next = now + (REST if whole else UNKNOWN_REST)
        return self._known

    def _looked(self, veths: Iterable[route.Interface]) -> dict[int, Peer]:
        found = {x.ifindex: x for x in veths}
        if not found:
            return {}
        here = {ifindex: x.name for ifindex, x in found.items()}
        elsewhere = self._by_number() if any(x.link_netnsid is not None for x in veths) else {}
        wanted = {x.link_netnsid for x in found.values()}
        self._look_inside([at for number, at in elsewhere.items() if number in wanted])
        made = dict[int, Peer]()
        for ifindex, link in found.items():
            if link.link_netnsid is None:
                made[ifindex] = Peer(link.link, here.get(link.link) or f"if{link.link}")
            elif link.link_netnsid in elsewhere:
                inode, pid, _ = elsewhere[link.link_netnsid]
                names, _ = self._inside.get(inode, _NOT_SEEN)
                name = state_files.named(names.get(link.link) or f"if{link.link}")
                called, container = shared.namespace(inode, pid)
                made[ifindex] = Peer(link.link, name, inode, called or None, container or None)
        return made

    def _by_number(self) -> dict[int, _Elsewhere]:
        """Return each namespace that has a number here, and a process in it or a name."""
        by_process = [
            _Elsewhere(inode, pid, f"/proc/{pid}/ns/net")
            for inode, pid in shared_namespaces.shared.find().items()
        ]
        seen = {procfs.netns(), *(one.inode for one in by_process)}
        named = [
            _Elsewhere(inode, 0, file)
            for inode, file in net_namespaces.named().items()
            if inode not in seen
        ]
        by_process = [one for one in by_process if one.inode != procfs.netns()][:MOST]
        named = named[: MOST - len(by_process)]
        there = *by_process, *named
        self._numbers = {at: self._numbers[at] for at in there if at in self._numbers}
        asked = [at for at in there if at not in self._numbers]
        numbers = nsid.of_processes([at.pid for at in asked if at.pid])
        numbers += nsid.of_files([at.file for at in asked if not at.pid])
        pairs = zip(asked, numbers, strict=True)
        self._numbers |= {at: number for at, number in pairs if number is not None}
        return {number: at for at, number in self._numbers.items()}

    def _look_inside(self, places: Iterable[_Elsewhere]) -> None:
        """Ask for the names of the interfaces there, where that is not known or was long ago."""
        now = monotonic()
        due = {at.inode: at.file for at in places if self._again(at.inode) <= now}

        until = inf

        def ask() -> Mapping[int, str] | None:
            nonlocal until
            begin = monotonic()
            until = min(until, begin + SLICE)  # since the thread runs
            return route.names() if begin < until else None

        answers = net_namespaces.visited(due, ask)
        self._more = None in answers.values()
        for inode, names in answers.items():
            if names is not None:
                self._inside[inode] = names, now + NAMES_REST
        while len(self._inside) > MOST:
            del self._inside[next(iter(self._inside))]

    def _again(self, inode: int) -> float:
        return self._inside.get(inode, _NOT_SEEN)[1]


class SharedPeers:
    """The `Peers` of the network namespace that is looked from, for all who ask. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._peers, self._netns, self._next = Peers(), 0, 0.0
        self._told: Mapping[int, Peer] = {}
        self._owners: dict[object, str] = {}

    def of(self, links: Iterable[route.Interface]) -> Mapping[int, Peer]:
        """Return the same as `Peers.of`."""
        with self._lock:
            return self._of(links, monotonic())

    def containers(self, interfaces: Sequence[object]) -> list[str | None]:
        """Return the container that the other end of each interface is in; None for another one.

        interfaces: by their numbers or names. They are listed now and then, if nobody has told them
        lately.
        """
        with self._lock:
            now = monotonic()
            if now >= self._next or self._netns != procfs.netns():
                with suppress(OSError, ProbeError):  # as they were, then
                    self._of(route.links(), now)
                self._next = now + REST
            return list(map(self._owners.get, interfaces))

    def _of(self, links: Iterable[route.Interface], now: float) -> Mapping[int, Peer]:
        if (netns := procfs.netns()) != self._netns:
            self._peers, self._netns = Peers(), netns
        self._next = now + REST
        links = list(links)
        known = self._peers.of(links)
        if known is not self._told:
            self._told, self._owners = known, _owners(known, links)
        return known


def _owners(known: Mapping[int, Peer], links: Iterable[route.Interface]) -> dict[object, str]:
    """Return the containers of other ends, by numbers and names of the ends here."""
    owners: dict[object, str] = {}
    for link in links:
        peer = known.get(link.ifindex)
        if peer is not None and peer.container:
            owners[link.ifindex] = owners[printable(link.name)] = peer.container
    return owners


shared_peers = SharedPeers()
"""The other ends that all readers of this process share."""
