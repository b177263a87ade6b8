"""Rows of connections with callbacks, each rebuilt only where something changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from probes.hooks.tcp_rtt.callback_columns import ends_of
from probes.hooks.tcp_rtt.open_sockets import OpenSocket, minimum
from probes.kernel.netlink import sock_diag
from probes.kernel.netlink.sock_diag import Ends
from probes.kernel.procfs import Owner
from probes.model import Column, Flat, Row, Table, Value
from probes.toolkit.readers import row_of

_ENDS = ("laddr", "raddr", "lport", "rport")
"""Fields of an entry that stay, unless its socket connects again."""
_MARKS = ("samples", "retransmits", "sent", "srtt_us", "min_us", "inode")
"""The other fields of which one changes wherever any does."""
_MOVING = ("srtt_us", "min_us", "last_us", "rtt", "samples", "retransmits", "sent")
"""Columns of a row that change while its ends stay, but for its holder."""


class Estimate(NamedTuple):
    """A connection's round trip as it stands now, the segments it has sent, and its inode."""

    srtt_us: int
    min_us: int | None
    sent: int
    inode: int


@dataclass(slots=True)
class _Known:
    """A row, and what it was made of: the ends, and a mark.

    moving: it had changed since the reading before; the estimate still moves after a callback,
    which comes once in a round trip. settled: what it came to.
    """

    ends: tuple[Value, ...]
    mark: tuple[Value, ...]
    owner: Owner | None
    row: Row
    moving: bool = True
    settled: Estimate | None = None


class CallbackRows:
    """Connections with a row in the map. They take what was read, then give their rows."""

    def __init__(self, columns: tuple[Column, ...], table: Table) -> None:
        self._table, self._row, self._width = table, row_of(columns, table), len(columns)
        self._at = {c.name: i for i, c in enumerate(columns)}
        self._ends = itemgetter(*(_place(table, name) for name in _ENDS))
        self._mark = itemgetter(*(_place(table, name) for name in _MARKS))
        self._inode = _place(table, "inode")
        self._rest = self._at["pid"], self._at["comm"], self._at["from"]
        self._least = self._at["min_us"]
        self._estimated = [self._at[name] for name in Estimate._fields[:-1]]
        self._moving = [(self._at[n], table.fields[n]) for n in _MOVING]
        self._known: dict[int, _Known] = {}
        self._entries: list[Flat] = []

    def take(self, entries: list[Flat]) -> None:
        """Take what was read."""
        self._entries = entries

    def forget(self) -> None:
        """Forget all: other readings are made in columns, and thousands of rows are 20 MB."""
        self._entries, self._known = [], {}

    def __contains__(self, cookie: int) -> bool:
        return cookie in self._known

    def stopped(self) -> list[Ends]:
        """Return the connections that moved until the reading before, and not since."""
        stopped = []
        for entry in self._entries:
            known = self._known.get(entry[0])
            if known is not None and known.moving and known.mark == self._mark(entry):
                laddr, raddr, lport, rport = ends = self._ends(entry)
                if known.ends == ends:
                    stopped.append(ends_of(entry[0], laddr, lport, raddr, rport))
        return stopped

    def settle(self, found: Iterable[sock_diag.TcpSocket | None]) -> None:
        """Take what sock_diag tells of connections that have `stopped`."""
        for s in found:
            if s is not None and s.info is not None:
                known = self._known[s.cookie]
                i = s.info
                known.settled = Estimate(i.rtt_us, i.min_rtt_us, i.data_segs_out, s.inode)
                known.owner = _NOBODY  # so that the row is rebuilt

    def inodes(self) -> set[int]:
        place = self._inode
        found = {int(entry[place]) for entry in self._entries}
        return found | {k.settled.inode for k in self._known.values() if k.settled is not None}

    def rows(self, owners: Mapping[int, Owner]) -> list[Row]:
        known: dict[int, _Known] = {}
        inode = self._inode
        for entry in self._entries:
            ends, mark, one = self._ends(entry), self._mark(entry), self._known.get(entry[0])
            if one is None or one.ends != ends:
                one = _Known(ends, mark, _NOBODY, self._row(entry))
            elif one.mark == mark:
                one.moving = False
            else:
                one.mark, one.moving, one.settled, one.owner = mark, True, None, _NOBODY
            owner = owners.get(one.settled.inode if one.settled else entry[inode])
            if one.owner != owner:
                one.row, one.owner = self._made(one, entry, owner), owner
            known[entry[0]] = one
        self._known = known
        return [each.row for each in known.values()]

    def row_of_socket(self, socket: OpenSocket, origin: str, owner: Owner | None) -> Row:
        """Return the row of a connection that the map has none of."""
        values: list[Value] = [None] * self._width
        for name, value in zip(OpenSocket._fields[:-1], socket, strict=False):
            values[self._at[name]] = value
        return self._held(values, origin, owner)

    def _made(self, known: _Known, entry: Flat, owner: Owner | None) -> Row:
        values = list(known.row)
        for column, place in self._moving:
            values[column] = entry[place]
        values[self._least] = minimum(values[self._least])
        if known.settled is not None:
            for column, value in zip(self._estimated, known.settled, strict=False):
                values[column] = value
        return self._held(values, "sock_ops", owner)

    def _held(self, values: list[Value], origin: str, owner: Owner | None) -> Row:
        pid, comm, source = self._rest
        values[pid], values[comm] = (owner.pid, owner.comm) if owner is not None else (None, None)
        values[source] = origin
        return tuple(values)


_NOBODY = Owner(0, "")
"""Stands for a holder that is not known yet."""


def _place(table: Table, field: str) -> int:
    place = table.fields[field]
    assert isinstance(place, int)
    return place
