"""Processes that hold the port at which a packet was freed, if it had reached a socket."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from probes.errors import ProbeError
from probes.hooks.drops.ways import CAME, IN
from probes.kernel.netlink import sock_diag
from probes.kernel.netlink.sock_diag import Receiver
from probes.kernel.procfs import Owner, SocketOwners

Port = tuple[str, int]
"""Protocol and local port."""

_LISTS: Mapping[str, Callable[[], list[Receiver]]] = {
    "tcp": sock_diag.listeners,
    "udp": sock_diag.udp_receivers,
}
LISTED = frozenset(_LISTS)
"""Protocols whose sockets are listed."""
_RECEIVING = frozenset(
    {"SOCKET_RCVBUFF", "SOCKET_BACKLOG", "SOCKET_FILTER", "PROTO_MEM", "UDP_CSUM"}
)


_NOBODYS = frozenset({"-", "NO_SOCKET", "NOT_SPECIFIED", "QUEUE_PURGE", "SOCKET_CLOSE"})
"""Reasons of which nobody has the port, or of which that is not known."""


def received(reason: str) -> bool:
    """Return whether a socket was about to receive it: then its destination port is a local one."""
    return reason in _RECEIVING or reason.startswith("TCP_")


def of_socket(reason: str, way: str, interface: str, forwards: Callable[[str], bool]) -> bool:
    """Return whether the destination port was a local one: a socket's, or what it was to reach.

    A packet that goes out, or on to another host, has a port of that host.
    """
    if received(reason):
        return True
    if way not in (IN, CAME) or reason in _NOBODYS:
        return False
    return way == IN or not forwards(interface)


class SocketHolders:
    """Processes behind ports of this network namespace, listening or receiving.

    Sockets are listed only for ports at which something was freed since the last reading.
    """

    def __init__(self) -> None:
        self._packets: dict[Port, int] = {}
        self._inodes: dict[Port, frozenset[int]] = {}
        self._held: dict[Port, Owner | None] = {}
        self._owners = SocketOwners()

    def look(self, packets: Mapping[Port, int]) -> None:
        """Find the holders of ports at which more was freed; packets: the total at each port."""
        new = {port for port, n in packets.items() if n != self._packets.get(port)}
        self._packets = dict(packets)
        for protocol in {protocol for protocol, _ in new}:
            self._list(protocol, {port for of, port in new if of == protocol})
        owners = self._owners.find({i for found in self._inodes.values() for i in found})
        for port, inodes in self._inodes.items():
            found = {owners[i] for i in inodes if i in owners}
            if found:
                self._held[port] = found.pop() if len(found) == 1 else None

    def of(self, port: Port | None) -> Owner | None:
        """Return the one process that holds the port, or held it last.

        None: several, or not known.
        """
        return self._held.get(port) if port is not None else None

    def of_all(self, ports: Iterable[Port]) -> list[Owner | None]:
        """Return the same of several ports."""
        return list(map(self._held.get, ports))

    def _list(self, protocol: str, ports: Collection[int]) -> None:
        with suppress(ProbeError):
            sockets = _LISTS[protocol]()
            found: dict[int, set[int]] = {}
            for s in sockets:
                if s.inode and s.port in ports:
                    found.setdefault(s.port, set()).add(s.inode)
            for port, inodes in found.items():
                self._inodes[protocol, port] = frozenset(inodes)
