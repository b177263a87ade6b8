"""How the rungs of tcp-life read: from the programs' maps, or by polling sock_diag."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from probes.kernel.netlink.sock_diag import SYNCHRONIZED, TcpSocket, TcpState, mask, tcp_sockets
from probes.kernel.procfs import Owner, SocketOwners
from probes.model import Flat, Opening, Reading, Row
from probes.toolkit.decode import address, comm, named
from probes.toolkit.others import Others
from probes.toolkit.readers import filled, record, row_from, row_of
from probes.units import DASH

SIDES = ("out", "in")


def open_lives(opening: Opening) -> Callable[[], Reading]:
    """Rows from `rows`, the log of what ended from `events`.

    A local port's owner is who closed last there; until somebody did, who listens on it.
    """
    table, columns = opening.tables["rows"], opening.hook.stored
    row, lost = row_of(columns, table), opening.tables["lost"]
    listeners, others = _Listeners(), Others(opening, by_process=False)
    listening: dict[int, Owner] = {}

    def made(entry: Flat) -> Row:
        e = record(table, entry)
        pid, name = (e["caller"], e["name"]) if not e["inward"] else (e["owner"], e["owner_name"])
        who = Owner(pid, comm(name)) if pid else listening.get(e["port"], _NOBODY)
        known = {"pid": who.pid or None, "comm": who.comm}
        return filled(columns, row(entry), {**known, "open": e["established"] - e["closed"]})

    def read() -> Reading:
        nonlocal listening
        log = _log(opening)
        others.before()
        entries = table.rows()
        found = [record(table, entry) for entry in entries]
        listening = listeners.find({e["port"] for e in found if e["inward"] and not e["owner"]})
        rows = others.rows(entries, made)
        unseen, unlogged = (int(found[-1]) if found else 0 for found in map(lost.row, [(0,), (1,)]))
        return Reading(rows, unseen, log, unlogged)

    return read


_NOBODY = Owner(0, DASH)


class _Listeners:
    """Who listens on a port, in this network namespace."""

    def __init__(self) -> None:
        self._owners = SocketOwners()

    def find(self, ports: Iterable[int]) -> dict[int, Owner]:
        wanted = set(ports)
        if not wanted:
            return {}
        found = {s.lport: s.inode for s in tcp_sockets(mask(TcpState.LISTEN)) if s.lport in wanted}
        whose = self._owners.find(set(found.values()))
        return {port: whose[inode] for port, inode in found.items() if inode in whose}


def _log(opening: Opening) -> list[Row]:
    queue = opening.tables["events"]
    return [_ended(record(queue, entry)) for entry in queue.drain()]


def _ended(e: dict[str, object]) -> Row:
    return (
        named(SIDES, int(str(e["inward"]))),
        e["pid"] or None,  # type: ignore[return-value]
        comm(e["comm"]) or DASH,
        address(e["laddr"]),
        e["lport"],
        address(e["raddr"]),
        e["rport"],
        e["ns"],
        e["tx"],
        e["rx"],
        e["retransmits"],
        e["srtt_us"],
        "aborted" if e["aborted"] else "closed",
    )


# -- polling ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tally:
    pid: int | None = None
    comm: str = DASH
    established: int = 0
    closed: int = 0
    open: int = 0
    retransmits: int = 0
    rx: int = 0
    tx: int = 0


Side = tuple[int, int, int, str]
"""caller, port, inward, name: as the programs' key."""


class _Poll:
    """What polls have shown: connections that appear and go, and what those that stay carry."""

    def __init__(self) -> None:
        self.tallies: dict[Side, _Tally] = defaultdict(_Tally)
        self._owners = SocketOwners()
        self._known: dict[int, tuple[Side, TcpSocket]] = {}
        self._first = True

    def look(self) -> None:
        everything = tcp_sockets(SYNCHRONIZED | mask(TcpState.LISTEN))
        listening = {s.lport for s in everything if s.state == TcpState.LISTEN}
        sockets = {s.cookie: s for s in everything if s.state != TcpState.LISTEN and s.info}
        whose = self._owners.find({s.inode for s in sockets.values()})
        now: dict[int, tuple[Side, TcpSocket]] = {}
        for tally in self.tallies.values():
            tally.open = 0
        for cookie, s in sockets.items():
            owner = whose.get(s.inode, _NOBODY)
            if cookie in self._known:
                side, before = self._known[cookie]
            else:
                side, before = _side(s, owner, inward=s.lport in listening), None
                self.tallies[side].established += not self._first
            now[cookie] = side, s
            self._add(self.tallies[side], owner, before, s)
        for cookie in self._known.keys() - now.keys():
            self.tallies[self._known[cookie][0]].closed += 1
        self._known, self._first = now, False

    def _add(self, tally: _Tally, owner: Owner, before: TcpSocket | None, now: TcpSocket) -> None:
        tally.open += 1
        if owner.pid:
            tally.pid, tally.comm = owner.pid, owner.comm
        old, new = before.info if before else None, now.info
        assert new is not None
        if old is None and self._first:
            return
        tally.retransmits += new.total_retrans - (old.total_retrans if old else 0)
        tally.rx += new.bytes_received - (old.bytes_received if old else 0)
        tally.tx += new.bytes_acked - (old.bytes_acked if old else 0)


def _side(s: TcpSocket, owner: Owner, *, inward: bool) -> Side:
    return (0, s.lport, 1, "") if inward else (owner.pid, s.rport, 0, owner.comm)


def from_sock_diag(opening: Opening) -> Callable[[], Reading]:
    """This network namespace as polls see it, from the moment of opening on."""
    poll = _Poll()
    poll.look()

    def read() -> Reading:
        poll.look()
        return Reading([_polled(opening, side, tally) for side, tally in poll.tallies.items()])

    return read


def _polled(opening: Opening, side: Side, tally: _Tally) -> Row:
    caller, port, inward, name = side
    return row_from(
        opening.hook.stored,
        {
            "caller": caller,
            "name": name,
            "port": port,
            "side": SIDES[inward],
            **{f: getattr(tally, f) for f in _Tally.__slots__},
        },
    )
