"""Processes that sent what was dropped on its way out, by the ports that it came from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from time import monotonic

from probes.errors import ProbeError
from probes.hooks.drops.holders import Port
from probes.kernel.netlink import sock_diag
from probes.kernel.netlink.sock_diag import TcpState
from probes.kernel.procfs import Owner, SocketOwners
from probes.model import Flat
from probes.toolkit.decode import packet_protocol

_NOT_OPEN = sock_diag.mask(TcpState.LISTEN, TcpState.TIME_WAIT)


def _tcp() -> Iterator[tuple[int, int]]:
    for s in sock_diag.tcp_sockets(sock_diag.ALL & ~_NOT_OPEN):
        yield s.lport, s.inode


def _udp() -> Iterator[tuple[int, int]]:
    for s in sock_diag.udp_receivers():
        yield s.port, s.inode


_LISTS: Mapping[str, Callable[[], Iterator[tuple[int, int]]]] = {"tcp": _tcp, "udp": _udp}
"""Local port and inode of each socket."""


class Senders:
    """Senders of this network namespace (`own`), by protocol and destination port.

    Sockets are listed only while something of theirs is dropped; each list is followed by a rest
    `REST` times as long.
    """

    REST, MAIN = 20.0, 0.75
    """Rest, as a multiple of a list's time; share of the latest packets that one must have sent."""

    def __init__(self, own: int) -> None:
        self._own = own
        self._packets: dict[Flat, int] = {}
        self._latest: dict[Port, Counter[int]] = {}
        self._inodes: dict[Port, frozenset[int]] = {}
        self._held: dict[Port, Owner | None] = {}
        self._owners = SocketOwners()
        self._next: dict[str, float] = {}

    def look(self, found: Iterable[Flat]) -> None:
        """Find the senders. found: rows of (netns, protocol, source, port, packets)."""
        sent = {row[:4]: row[4] for row in found if row[0] == self._own}
        grown = self._grown(sent)
        self._packets = sent
        there = {(packet_protocol(protocol), port) for _, protocol, _, port in sent}
        latest = {**self._latest, **grown}
        self._latest = {port: latest[port] for port in there & latest.keys()}
        self._list(grown)
        self._name()

    def of(self, port: Port) -> Owner | None:
        """Return the process that sent nearly all that was dropped lately; None: it is not known.

        port: protocol and destination port.
        """
        return self._held.get(port)

    def _grown(self, sent: Mapping[Flat, int]) -> dict[Port, Counter[int]]:
        """Return by destination what was dropped since the last reading, by source port."""
        found: dict[Port, Counter[int]] = defaultdict(Counter)
        for key, packets in sent.items():
            _, protocol, source, port = key
            if (more := packets - self._packets.get(key, 0)) > 0:
                found[packet_protocol(protocol), port][source] += more
        return found

    def _list(self, grown: Mapping[Port, Counter[int]]) -> None:
        """List sockets for ports that are not known, or may be others' by now."""
        wanted: dict[str, set[int]] = defaultdict(set)
        known = self._inodes.keys()
        for (protocol, port), sources in self._latest.items():
            new = {s for s in sources if (protocol, s) not in known} | grown.get(
                (protocol, port), {}
            ).keys()
            wanted[protocol] |= new
        for protocol in _LISTS.keys() & wanted.keys():
            if wanted[protocol] and monotonic() >= self._next.get(protocol, 0.0):
                begin = monotonic()
                self._find(protocol, wanted[protocol])
                now = monotonic()
                self._next[protocol] = now + self.REST * (now - begin)

    def _find(self, protocol: str, sources: Collection[int]) -> None:
        found: dict[int, set[int]] = {}
        with suppress(ProbeError):
            for port, inode in _LISTS[protocol]():
                if inode and port in sources:
                    found.setdefault(port, set()).add(inode)
        for port, inodes in found.items():
            self._inodes[protocol, port] = frozenset(inodes)

    def _name(self) -> None:
        used = {(protocol, s) for (protocol, _), of in self._latest.items() for s in of}
        self._inodes = {port: self._inodes[port] for port in used & self._inodes.keys()}
        owners = self._owners.find({i for inodes in self._inodes.values() for i in inodes})
        self._held = {port: self._main(port[0], of, owners) for port, of in self._latest.items()}

    def _main(
        self, protocol: str, sources: Counter[int], owners: Mapping[int, Owner]
    ) -> Owner | None:
        """Return who sent nearly all of it."""
        sent = Counter[Owner | None]()
        for source, packets in sources.items():
            inodes = self._inodes.get((protocol, source), frozenset())
            found = {owners[i] for i in inodes if i in owners}
            sent[found.pop() if len(found) == 1 else None] += packets
        (owner, most), *_ = sent.most_common(1) or [(None, 0)]
        return owner if most >= self.MAIN * sent.total() else None
