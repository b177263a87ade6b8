"""Readers of the rungs of sock-addr: from the programs' map, or by polling sock_diag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from probes.columns.numbered import cgroup_cells
from probes.errors import ProbeError
from probes.hooks.sock_addr.source import OPERATIONS
from probes.kernel import cgroups
from probes.kernel.netlink.sock_diag import TcpSocket, TcpState, mask, tcp_sockets, udp_sockets
from probes.kernel.procfs import SocketOwners
from probes.model import Flat, Opening, Reading, Row, Value
from probes.toolkit.decode import ip_protocol, named
from probes.toolkit.field_cells import cells_from
from probes.toolkit.links import scoped_here
from probes.toolkit.others import Others
from probes.toolkit.readers import filled, row_from, row_of
from probes.toolkit.tallies import Tallies
from probes.units import DASH

_TCP, _UDP = 6, 17


def open_addresses(opening: Opening) -> Callable[[], Reading]:
    """Return a reader of rows from `rows`, each with its cgroup's path."""
    table, columns, paths = opening.tables["rows"], opening.hook.stored, cgroups.Paths()
    row, id = row_of(columns, table), table.fields["cgroup"]
    assert isinstance(id, int)
    others, cells = Others(opening), cells_from(columns, {"cgroup": cgroup_cells(paths)})

    def made(entry: Flat) -> Row:
        return filled(columns, row(entry), {"cgroup": paths.of(entry[id])})

    def read() -> Reading:
        others.before()
        return Reading(others.many(table.entries(), made, cells))

    return read


def operation(number: object) -> str:
    assert isinstance(number, int)
    return named(OPERATIONS, number)


# -- polling ---------------------------------------------------------------------------------


class _HolderPoll:
    """Sockets that were connected or bound between two polls, by holder.

    What comes and goes between two polls is not seen, nor is what a socket sends without being
    connected. This network namespace only.
    """

    def __init__(self) -> None:
        self.counts: Tallies[tuple[Value, ...]] = Tallies()
        self._owners = SocketOwners()
        self._known: set[int] | None = None

    def look(self) -> None:
        found = {s.cookie: (protocol, op, s) for protocol, op, s in _named()}
        new = found.keys() - self._known if self._known is not None else set()
        whose = self._owners.find({found[cookie][2].inode for cookie in new})
        for protocol, op, s in map(found.__getitem__, new):
            owner = whose.get(s.inode)
            pid, comm = (owner.pid, owner.comm) if owner is not None else (None, DASH)
            cgroup = cgroups.of_process(pid) if pid is not None else DASH
            address, port = (s.laddr, s.lport) if op == "bind" else (s.raddr, s.rport)
            address = scoped_here(address, s.ifindex)
            family = "ipv6" if ":" in address else "ipv4"
            named = (cgroup, pid, comm, op, family, ip_protocol(protocol), address, port)
            self.counts.add(named, {"calls": 1})
        self._known = set(found)


def _named() -> Iterator[tuple[int, str, TcpSocket]]:
    """Return sockets with a peer that was asked for, and those that wait for one.

    Protocol, operation.
    """
    tcp = tcp_sockets(mask(*TcpState) & ~mask(TcpState.CLOSE, TcpState.TIME_WAIT))
    listening = {s.lport for s in tcp if s.state == TcpState.LISTEN}
    for s in tcp:
        if s.state == TcpState.LISTEN:
            yield _TCP, "bind", s
        elif s.lport not in listening:
            yield _TCP, "connect", s
    try:
        udp = udp_sockets()
    except ProbeError:
        return  # a kernel without CONFIG_INET_UDP_DIAG
    for s in udp:
        yield _UDP, "connect" if s.rport else "bind", s


NAMES = ("cgroup", "pid", "comm", "operation", "family", "protocol", "address", "port")


def from_sock_diag(opening: Opening) -> Callable[[], Reading]:
    """Return a reader of what polls have shown since the moment of opening."""
    poll, columns = _HolderPoll(), opening.hook.stored
    poll.look()

    def row(named: tuple[Value, ...], counts: Counter[str]) -> Row:
        return row_from(columns, {**dict(zip(NAMES, named, strict=True)), **counts})

    def read() -> Reading:
        poll.look()
        return Reading(poll.counts.made(columns, row))

    return read
