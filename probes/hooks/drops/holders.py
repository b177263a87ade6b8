"""Processes that hold the port at which a packet was freed, if it had reached a socket."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from probes.errors import ProbeError
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


def received(reason: str) -> bool:
    """Return whether a socket was about to receive it: then its destination port is a local one."""
    return reason in _RECEIVING or reason.startswith("TCP_")


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
            for port in ports:
                inodes = frozenset(s.inode for s in sockets if s.port == port and s.inode)
                if inodes:
                    self._inodes[protocol, port] = inodes
