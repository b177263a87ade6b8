"""Readers of the rungs of tcp-life: from the programs' maps, or by polling sock_diag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from probes.arrays import FEW
from probes.columns.cells import Cells
from probes.columns.row_table import ColumnRows
from probes.hooks.tcp_life import columns as many
from probes.kernel.netlink.sock_diag import SYNCHRONIZED, TcpSocket, TcpState, mask, tcp_sockets
from probes.kernel.procfs import Owner, SocketOwners
from probes.model import Column, Entries, Fields, Flat, Opening, Reading, Row, Table, Value
from probes.toolkit.counters_c import counted
from probes.toolkit.decode import address, comm, named
from probes.toolkit.field_cells import cells_from
from probes.toolkit.others import Others
from probes.toolkit.readers import filled, record, row_from, row_of
from probes.toolkit.tallies import Tallies
from probes.units import DASH

SIDES = ("out", "in")


def open_lives(opening: Opening) -> Callable[[], Reading]:
    """Return a reader: rows from `rows`, the log of ended connections from `events`.

    A local port's owner is the process that closed last there; before the first close, its
    listener.
    """
    table, columns = opening.tables["rows"], opening.hook.stored
    row, lost = row_of(columns, table), opening.tables["lost"]
    listeners, others = _Listeners(), Others(opening, by_process=False)
    listening: dict[int, Owner] = {}
    cells, at = cells_from(columns), [c.name for c in columns].index

    def made(entry: Flat) -> Row:
        e = record(table, entry)
        pid, name = (e["caller"], e["name"]) if not e["inward"] else (e["owner"], e["owner_name"])
        who = Owner(pid, comm(name)) if pid else listening.get(e["port"], _NOBODY)
        known = {"pid": who.pid or None, "comm": who.comm}
        return filled(columns, row(entry), {**known, "open": e["established"] - e["closed"]})

    def read() -> Reading:
        log = _log(opening)
        others.before()
        rows = look(table.entries())
        return Reading(rows, counted(lost), log, counted(lost, 1))

    def look(entries: Entries) -> Iterable[Row]:
        nonlocal listening
        if len(entries) > FEW:
            listening = listeners.find(many.without_owner(entries))
            rows = others.many(entries, made, of_entries)
            if isinstance(rows, ColumnRows):
                if not others.full:
                    return rows
                open = opening.tables["open"].entries()
                return many.counted_open(rows, at("open"), entries, open)
        return few(entries.rows())

    def few(entries: list[Flat]) -> Iterable[Row]:
        nonlocal listening
        found = [record(table, entry) for entry in entries]
        listening = listeners.find({e["port"] for e in found if e["inward"] and not e["owner"]})
        rows = others.rows(entries, made)
        if others.full:  # a row may have started over while its connections were open
            rows = _with_open(columns, rows, found, opening.tables["open"])
        return rows

    def of_entries(entries: Fields) -> Sequence[Cells]:
        found = cells(entries)
        found[at("pid")], found[at("comm")] = many.whose(entries, listening, _NOBODY)
        found[at("open")] = many.still_open(entries)
        return found

    return read


def _with_open(
    columns: Iterable[Column], rows: list[Row], entries: list[dict[str, Any]], table: Table
) -> list[Row]:
    """Return the rows with the number of open connections, as they are counted one by one.

    rows: one for each entry, and then that of others, which has what is in none of them.
    """
    open = Counter([_key(e) for e in (record(table, x) for x in table.rows()) if e["at"]])
    counts = [open.pop((e["caller"], e["port"], e["inward"], e["name"]), 0) for e in entries]
    counts += [open.total()] * (len(rows) - len(entries))
    return [filled(columns, row, {"open": n}) for row, n in zip(rows, counts, strict=True)]


def _key(connection: dict[str, Any]) -> tuple[int, int, int, bytes]:
    """Return the key of a connection's row."""
    if connection["inward"]:
        return 0, connection["lport"], 1, bytes(16)
    return connection["caller"], connection["rport"], 0, connection["name"]


_NOBODY = Owner(0, DASH)


class _Listeners:
    """Listeners by port, in this network namespace."""

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


Side = tuple[int, int, int, str]
"""caller, port, inward, name: as the programs' key."""


class _LifePoll:
    """Results of polls: connections that appear and go, and what those that stay carry."""

    def __init__(self) -> None:
        self.tallies: Tallies[Side] = Tallies()
        self.open: Counter[Side] = Counter()
        self.owners: dict[Side, Owner] = {}
        "For open connections, the holder of the latest."
        self._owners = SocketOwners()
        self._known: dict[int, tuple[Side, TcpSocket]] = {}
        self._first = True

    def look(self) -> None:
        everything = tcp_sockets(SYNCHRONIZED | mask(TcpState.LISTEN))
        listening = {s.lport for s in everything if s.state == TcpState.LISTEN}
        sockets = {s.cookie: s for s in everything if s.state != TcpState.LISTEN and s.info}
        whose = self._owners.find({s.inode for s in sockets.values()})
        now: dict[int, tuple[Side, TcpSocket]] = {}
        self.open.clear()
        for cookie, s in sockets.items():
            owner = whose.get(s.inode, _NOBODY)
            if cookie in self._known:
                side, before = self._known[cookie]
            else:
                side, before = _side(s, owner, inward=s.lport in listening), None
                self.tallies.add(side, {"established": not self._first})
            now[cookie] = side, s
            self.open[side] += 1
            if owner.pid:
                self.owners[side] = owner
            self.tallies.add(side, self._carried(before, s))
        for cookie in self._known.keys() - now.keys():
            self.tallies.add(self._known[cookie][0], {"closed": 1})
        self._known, self._first = now, False
        self.owners = {side: who for side, who in self.owners.items() if side in self.tallies}

    def _carried(self, before: TcpSocket | None, now: TcpSocket) -> dict[str, int]:
        old, new = before.info if before else None, now.info
        assert new is not None
        if old is None and self._first:
            return {}
        return {
            "retransmits": new.total_retrans - (old.total_retrans if old else 0),
            "rx": new.bytes_received - (old.bytes_received if old else 0),
            "tx": new.bytes_acked - (old.bytes_acked if old else 0),
        }


def _side(s: TcpSocket, owner: Owner, *, inward: bool) -> Side:
    return (0, s.lport, 1, "") if inward else (owner.pid, s.rport, 0, owner.comm)


def from_sock_diag(opening: Opening) -> Callable[[], Reading]:
    """Return a reader of this network namespace by polls, counted from the moment of opening."""
    poll, columns = _LifePoll(), opening.hook.stored
    poll.look()

    def row(side: Side, tally: Counter[str]) -> Row:
        caller, port, inward, name = side
        known: dict[str, Value] = {
            "caller": caller,
            "name": name,
            "port": port,
            "side": SIDES[inward],
        }
        who = poll.owners.get(side, _NOBODY)
        who_is = {"pid": who.pid or None, "comm": who.comm}
        return row_from(columns, {**known, **who_is, **_told(tally), "open": poll.open[side]})

    def read() -> Reading:
        poll.look()
        return Reading(poll.tallies.made(columns, row, _told))

    return read


def _told(tally: Counter[str]) -> dict[str, int]:
    return {name: tally[name] for name in ("established", "closed", "retransmits", "rx", "tx")}
