"""The best rung: its rows, and those of connections that have none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probes.attach.cgroup import CgroupLink
from probes.hooks.tcp_rtt import callback_flags, open_sockets
from probes.hooks.tcp_rtt.callback_columns import CallbackColumns
from probes.hooks.tcp_rtt.callback_flags import CallbackFlags, FlagStage
from probes.hooks.tcp_rtt.callback_rows import CallbackRows
from probes.hooks.tcp_rtt.open_sockets import OpenSockets
from probes.kernel import capabilities
from probes.kernel.netlink import sock_diag
from probes.kernel.procfs import SocketOwners
from probes.model import Entries, Opening, Program, Reading, Row, Rung
from probes.point import AttachType
from probes.toolkit import counters_c, sockets_c
from probes.toolkit.c_files import c_source
from probes.toolkit.readers import Uncounted

_BUCKETS = 32
_SOURCE = (
    sockets_c.MAPPED
    + counters_c.UNCOUNTED
    + open_sockets.SOURCE
    + sockets_c.OF_SOCK_OPS
    + c_source(
        __file__,
        "sock_ops_iter.c",
        BUCKETS=_BUCKETS,
        **{stage.name: int(stage) for stage in FlagStage},
    )
)
FEW = 64
"""Connections that are asked for one by one; beyond, all are visited."""


class _SockOpsIter:
    """The rung's reader; what it reports of the flags."""

    def __init__(self) -> None:
        self.note: Callable[[], str] = str

    def open(self, opening: Opening) -> Callable[[], Reading]:
        flags, connections = CallbackFlags(opening), _Connections(opening)
        opening.stack.callback(flags.leave)
        self.note = lambda: flags.note
        uncounted = Uncounted(opening, {})

        def read() -> Reading:
            flags.look()
            return Reading(connections.rows(flags), uncounted.read())

        flags.look()  # what happens between now and the first reading is counted
        return read


class _Connections:
    """Rows of the map, and of connections that have none there: in columns if there are many."""

    def __init__(self, opening: Opening) -> None:
        columns, self._table = opening.hook.stored, opening.tables["rows"]
        self._few, self._many = CallbackRows(columns, self._table), CallbackColumns(columns)
        self._sockets, self._holders = OpenSockets(opening), SocketOwners()

    def rows(self, flags: CallbackFlags) -> Iterable[Row]:
        entries = self._table.entries()
        many = len(entries) >= open_sockets.MANY
        settle = self._settle_many if many else self._settle_few
        if not settle(entries):
            del entries  # megabytes, which are read again
            flags.visit()
            entries = self._table.entries()
            self._take(entries, many=many)
        if not flags.complete:
            self._sockets.read()
        if many:
            if (found := self._in_columns(entries, flags)) is not None:
                self._few.forget()
                return found
            self._few.take(entries.rows())
        return self._one_by_one(flags)

    def _take(self, entries: Entries, *, many: bool) -> None:
        if many:
            self._many.stopped(entries)
        else:
            self._few.take(entries.rows())

    def _settle_many(self, entries: Entries) -> bool:
        """Ask for connections that fell silent; return False where they are too many for that."""
        stopped = self._many.stopped(entries)
        if len(stopped) > FEW:
            return False
        if stopped:
            found = sock_diag.found(self._many.ends(entries, stopped))
            self._many.settle(stopped, found)
        return True

    def _settle_few(self, entries: Entries) -> bool:
        self._many.forget()
        self._few.take(entries.rows())
        stopped = self._few.stopped()
        if len(stopped) > FEW:
            return False
        if stopped:
            self._few.settle(sock_diag.found(stopped))
        return True

    def _in_columns(self, entries: Entries, flags: CallbackFlags) -> Iterable[Row] | None:
        others = None if flags.complete else self._sockets.many
        if others is None and not flags.complete:
            return None
        inodes = set(self._many.inodes(entries).tolist())
        if others is not None:
            inodes |= set(others["inode"].tolist())
        whose = self._holders.find(inodes)
        return self._many.rows(entries, others, whose, self._sockets.origin)

    def _one_by_one(self, flags: CallbackFlags) -> list[Row]:
        rows, others = self._few, [] if flags.complete else self._sockets.all()
        whose = self._holders.find(rows.inodes() | {s.inode for s in others})
        found, origin = rows.rows(whose), self._sockets.origin
        unseen = [s for s in others if s.cookie not in rows]
        return found + [rows.row_of_socket(s, origin, whose.get(s.inode)) for s in unseen]


_RUNG = _SockOpsIter()
RUNG = Rung(
    "sock_ops-iter",
    "Linux 6.12, BTF, cgroup v2, CAP_SYS_ADMIN, CAP_NET_ADMIN",
    _RUNG.open,
    source=_SOURCE,
    types=(*open_sockets.TYPES, "file"),
    programs=(
        Program("watch", CgroupLink(AttachType.CGROUP_SOCK_OPS)),
        callback_flags.PROGRAM,
        open_sockets.PROGRAM,
    ),
    precheck=callback_flags.refused,
    changed=lambda: _RUNG.note(),
    reads_with=(capabilities.SYS_ADMIN, *capabilities.PROCESSES),
)
