"""The best rung: its rows, and those of connections that have none."""

from __future__ import annotations

from collections.abc import Callable

from probes.attach.cgroup import CgroupLink
from probes.hooks.tcp_rtt import claimed, open_sockets
from probes.hooks.tcp_rtt.claimed import Claim, Stage
from probes.hooks.tcp_rtt.claimed_rows import ClaimedRows
from probes.hooks.tcp_rtt.open_sockets import OpenSockets
from probes.kernel import privilege
from probes.kernel.netlink import sock_diag
from probes.kernel.procfs import SocketOwners
from probes.model import Opening, Program, Reading, Rung
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
        "claimed.c",
        BUCKETS=_BUCKETS,
        **{stage.name: int(stage) for stage in Stage},
    )
)
FEW = 64
"""Connections that are asked for one by one; beyond, all are visited."""


class _Rung:
    """The rung's reader; what it reports of the claim."""

    def __init__(self) -> None:
        self.said: Callable[[], str] = str

    def open(self, opening: Opening) -> Callable[[], Reading]:
        claim, rows = Claim(opening), ClaimedRows(opening.hook.stored, opening.tables["rows"])
        opening.stack.callback(claim.leave)
        self.said = lambda: claim.said
        sockets, holders = OpenSockets(opening), SocketOwners()
        uncounted = Uncounted(opening, {})

        def read() -> Reading:
            claim.look()
            rows.read()
            _settle(rows, claim)
            others = [] if claim.complete else sockets.read()
            whose = holders.find(rows.inodes() | {s.inode for s in others})
            found = rows.rows(whose)
            origin = sockets.origin
            found += [
                rows.row_of_socket(s, origin, whose.get(s.inode))
                for s in others
                if s.cookie not in rows
            ]
            return Reading(found, uncounted.read())

        claim.look()  # what happens between now and the first reading is counted
        return read


def _settle(rows: ClaimedRows, claim: Claim) -> None:
    """Have the estimates of connections that fell silent as they stand now."""
    stopped = rows.stopped()
    if len(stopped) > FEW:
        claim.visit()
        rows.read()
    elif stopped:
        rows.settle(sock_diag.found(stopped))


_RUNG = _Rung()
RUNG = Rung(
    "sock_ops-iter",
    "Linux 6.12, BTF, cgroup v2, CAP_SYS_ADMIN, CAP_NET_ADMIN",
    _RUNG.open,
    source=_SOURCE,
    types=(*open_sockets.TYPES, "file"),
    programs=(
        Program("watch", CgroupLink(AttachType.CGROUP_SOCK_OPS)),
        claimed.PROGRAM,
        open_sockets.PROGRAM,
    ),
    precheck=claimed.refused,
    changed=lambda: _RUNG.said(),
    reads_with=(privilege.SYS_ADMIN, *privilege.PROCESSES),
)
