"""The best rung: its rows, and those of connections that have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from probes.attach.cgroup import CgroupLink
from probes.hooks.tcp_rtt import claimed
from probes.hooks.tcp_rtt.claimed import Claim, Stage
from probes.hooks.tcp_rtt.open_sockets import ITERATED, OpenSocket, iterated
from probes.kernel.netlink import sock_diag
from probes.kernel.procfs import Owner, SocketOwners
from probes.model import Column, Flat, Opening, Program, Reading, Row, Rung, Table, Value
from probes.point import AttachType
from probes.toolkit import counters_c, sockets_c
from probes.toolkit.c_files import c_source
from probes.toolkit.readers import Uncounted, row_of

_BUCKETS = 32
_SOURCE = (
    sockets_c.MAPPED
    + counters_c.UNCOUNTED
    + sockets_c.OF_SOCK
    + sockets_c.OF_SOCK_OPS
    + c_source(
        __file__,
        "claimed.c",
        BUCKETS=_BUCKETS,
        SYNCHRONIZED=sock_diag.SYNCHRONIZED,
        ITERATED=ITERATED.size,
        **{stage.name: int(stage) for stage in Stage},
    )
)
_CHANGING = ("samples", "retransmits", "srtt_us", "min_us", "inode")
"""Fields of an entry of which one changes wherever any does."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A row, and what it was made of."""

    mark: tuple[Value, ...]
    owner: Owner | None
    row: Row


class _Rows:
    """Rows of the map, each made anew only where its entry or its holder is another."""

    def __init__(self, columns: tuple[Column, ...], table: Table) -> None:
        self._row, self._columns = row_of(columns, table), columns
        self._at = {c.name: i for i, c in enumerate(columns)}
        self._mark = [_place(table, name) for name in _CHANGING]
        self._known: dict[int, _Known] = {}
        self.inode = _place(table, "inode")

    def of(self, entries: list[Flat], owners: dict[int, Owner]) -> list[Row]:
        known: dict[int, _Known] = {}
        for entry in entries:
            mark = tuple([entry[place] for place in self._mark])
            cookie, owner = int(entry[0]), owners.get(entry[self.inode])
            now = self._known.get(cookie)
            if now is None or now.mark != mark or now.owner != owner:
                now = _Known(mark, owner, self._made(list(self._row(entry)), "sock_ops", owner))
            known[cookie] = now
        self._known = known
        return [each.row for each in known.values()]

    def of_socket(self, socket: OpenSocket, owner: Owner | None) -> Row:
        """Return the row of a connection that the map has none of."""
        values: list[Value] = [None] * len(self._columns)
        for name, value in zip(OpenSocket._fields[:-1], socket, strict=False):
            values[self._at[name]] = value
        return self._made(values, "iterator", owner)

    def _made(self, values: list[Value], origin: str, owner: Owner | None) -> Row:
        values[self._at["from"]] = origin
        if owner is not None:
            values[self._at["pid"]], values[self._at["comm"]] = owner.pid, owner.comm
        return tuple(values)


def _place(table: Table, field: str) -> int:
    place = table.fields[field]
    assert isinstance(place, int)
    return place


class _Rung:
    """The rung's reader; what it reports of the claim."""

    def __init__(self) -> None:
        self.said: Callable[[], str] = str

    def open(self, opening: Opening) -> Callable[[], Reading]:
        table, claim = opening.tables["rows"], Claim(opening)
        opening.stack.callback(claim.leave)
        self.said = lambda: claim.said
        rows, holders = _Rows(opening.hook.stored, table), SocketOwners()
        uncounted = Uncounted(opening, {})

        def read() -> Reading:
            others = list(iterated(claim.bring_up_to_date()))
            entries = table.rows()
            inodes = {e[rows.inode] for e in entries} | {s.inode for s in others}
            whose = holders.find(inodes)
            seen = rows.of(entries, whose)
            seen += [rows.of_socket(s, whose.get(s.inode)) for s in others]
            return Reading(seen, uncounted.read())

        claim.bring_up_to_date()  # what happens between now and the first reading is counted
        return read


_RUNG = _Rung()
RUNG = Rung(
    "sock_ops-iter",
    "Linux 6.12, BTF, cgroup v2, CAP_SYS_ADMIN, CAP_NET_ADMIN",
    _RUNG.open,
    source=_SOURCE,
    types=(*sockets_c.OF_SOCK_TYPES, "socket", "file", "inode"),
    programs=(Program("watch", CgroupLink(AttachType.CGROUP_SOCK_OPS)), claimed.PROGRAM),
    precheck=claimed.refused,
    changed=lambda: _RUNG.said(),
)
