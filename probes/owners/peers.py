"""The other ends of veth pairs, in which network namespace they are, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from probes.errors import ProbeError
from probes.kernel import procfs
from probes.kernel.net_namespaces import NetNamespaces, inside
from probes.kernel.netlink import nsid, route
from probes.owners import state_files
from probes.owners.processes import shared

REST, UNKNOWN_REST = 5.0, 1.0
"""Seconds until they are looked for again, and while some are not known."""
MOST, SLICE = 256, 0.008
"""Namespaces that are looked into, and seconds that this takes at a time."""
NAMES_REST = 30.0
"""Seconds until a namespace is looked into again."""


class Peer(NamedTuple):
    """The other end. netns: the inode of its namespace; None: it is in this one, or not known.

    interface: its name, or "if5" where that namespace may not be entered. called: the namespace.
    """

    ifindex: int
    interface: str
    netns: int | None = None
    called: str | None = None

    def __str__(self) -> str:
        return f"{self.interface} in {self.called}" if self.called else self.interface


class Peers:
    """Other ends by ifindex."""

    def __init__(self) -> None:
        self._namespaces = NetNamespaces()
        self._there: frozenset[tuple[int, int, int | None]] = frozenset()
        self._known: dict[int, Peer] = {}
        self._inside: dict[int, tuple[Mapping[int, str], float]] = {}
        self._next = 0.0

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
            whole = len(self._known) == len(veths)
            self._next = now + (REST if whole else UNKNOWN_REST)
        return self._known

    def _looked(self, veths: Iterable[route.Interface]) -> dict[int, Peer]:
        found = {x.ifindex: x for x in veths}
        if not found:
            return {}
        here = {ifindex: x.name for ifindex, x in found.items()}
        elsewhere = self._by_number() if any(x.link_netnsid is not None for x in veths) else {}
        until, made = monotonic() + SLICE, dict[int, Peer]()
        for ifindex, link in found.items():
            if link.link_netnsid is None:
                made[ifindex] = Peer(link.link, here.get(link.link) or f"if{link.link}")
            elif link.link_netnsid in elsewhere:
                inode, pid = elsewhere[link.link_netnsid]
                name = self._names(inode, pid, until).get(link.link) or f"if{link.link}"
                called = shared.namespace(inode, pid)
                made[ifindex] = Peer(link.link, state_files.named(name), inode, called)
        return made

    def _by_number(self) -> dict[int, tuple[int, int]]:
        """Return the inode of each namespace that has a number here, and a process in it."""
        there = self._namespaces.find()
        there.pop(procfs.netns(), None)
        known = list(there.items())[:MOST]
        numbers = nsid.of_processes([pid for _, pid in known])
        pairs = zip(numbers, known, strict=True)
        return {number: at for number, at in pairs if number is not None}

    def _names(self, inode: int, pid: int, until: float) -> Mapping[int, str]:
        """Return the names of the interfaces there; the ones before where there is no time left."""
        names, again = self._inside.get(inode, ({}, 0.0))
        now = monotonic()
        if again <= now < until:
            with suppress(OSError, ProbeError):
                names = inside(pid, inode, route.names)
            self._inside[inode] = names, now + NAMES_REST
            while len(self._inside) > MOST:
                del self._inside[next(iter(self._inside))]
        return names
