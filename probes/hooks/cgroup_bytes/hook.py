"""Bytes by cgroup: what the sockets of each cgroup and process send and receive.

Counted where the kernel asks cgroup programs whether a packet may pass; ours only observe and
always allow it. Sizes count from the IP header on; a large packet that a device splits into
segments later has one header.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from probes.columns.cells import Cells, NumberCells, cells_of, octets_of
from probes.columns.numbered import cgroup_cells
from probes.kernel import cgroups
from probes.kernel.netlink.sock_diag import tcp_sockets, udp_sockets
from probes.kernel.procfs import SocketOwners
from probes.model import Flat, Table
from probes.toolkit import (
    WHO_AT_CGROUP,
    AttachType,
    CgroupAttach,
    CgroupLink,
    Hook,
    Opening,
    ProbeError,
    Program,
    Reading,
    Row,
    Rung,
    Unit,
    byte_count,
    c_source,
    cgroup,
    comm,
    decode,
    everything,
    filled,
    key,
    owner,
    packet_count,
    row_of,
)
from probes.toolkit.field_cells import cells_from
from probes.toolkit.others import Others
from probes.units import DASH

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SOURCE = (
    WHO_AT_CGROUP + c_source(__file__, "rows.c") + everything() + c_source(__file__, "sockets.c")
)


def _open(opening: Opening) -> Callable[[], Reading]:
    table, columns = opening.tables["rows"], opening.hook.stored
    owners, strangers = opening.tables["owners"], opening.tables["strangers"]
    row, paths, held = row_of(columns, table), cgroups.Paths(), SocketOwners()
    others, cells = Others(opening), cells_from(columns, {"cgroup": cgroup_cells(paths)})

    def of(entry: Flat) -> Row:
        return filled(columns, row(entry), {"cgroup": paths.of(int(entry[0]))})

    def read() -> Reading:
        _introduce(held, owners, strangers)
        others.before()
        return Reading(others.many(table.entries(), of, cells))

    return read


def _introduce(held: SocketOwners, owners: Table, strangers: Table) -> None:
    """Tell the programs who holds those sockets of this network namespace that they do not know."""
    unknown = {int(entry[0]) for entry in strangers.rows()}
    if not unknown:
        return
    try:
        sockets = {s.cookie: s.inode for s in (*tcp_sockets(), *udp_sockets())}
    except ProbeError:
        return  # a kernel without sock_diag: they stay unknown
    whose = held.find({sockets[cookie] for cookie in unknown & sockets.keys()})
    for cookie in unknown & sockets.keys():
        if (owner := whose.get(sockets[cookie])) is not None:
            owners.update((cookie,), (owner.pid, os.fsencode(owner.comm)[:15]))
            strangers.delete((cookie,))


@decode.many(lambda pids: NumberCells(pids, pids != 0))
def _pid(number: object) -> int | None:
    assert isinstance(number, int)
    return number or None


def _names(raw: NDArray[Any]) -> Cells:
    """Return names; of who has none, a dash."""
    named = raw.copy()
    named[raw[:, 0] == 0, :2] = ord(DASH), 0
    return decode.lazily(comm, named) or cells_of(list(map(_name, octets_of(raw))))


@decode.many(_names)
def _name(raw: bytes) -> str:
    return comm(raw) or DASH


def _rung(name: str, point: type[CgroupLink] | type[CgroupAttach]) -> Rung:
    return Rung(
        name,
        "Linux 5.8, cgroup v2, CAP_BPF, CAP_NET_ADMIN; for processes CAP_PERFMON",
        _open,
        source=_SOURCE,
        programs=(
            Program(
                "created",
                point(AttachType.CGROUP_INET_SOCK_CREATE),
                True,
                "sockets that were open before get a process only after a while",
            ),
            Program("egress", point(AttachType.CGROUP_INET_EGRESS)),
            Program("ingress", point(AttachType.CGROUP_INET_INGRESS)),
        ),
        lasting=point is CgroupAttach,
    )


HOOK = Hook(
    name="cgroup-bytes",
    title="Cgroup bytes",
    question="How much the sockets of each cgroup and process send and receive.",
    columns=(
        *cgroup(),
        key(
            "pid",
            "Pid",
            "process that made or holds the socket; none: not known (yet), or no process",
            Unit.NUMBER,
            decode=_pid,
            width=7,
        ),
        key("comm", "Command", "the process's name", decode=_name, width=16),
        packet_count("tx_packets", "TX packets", "sent"),
        byte_count("tx_bytes", "TX bytes", "size of these packets, IP header included"),
        packet_count("rx_packets", "RX packets", "received"),
        byte_count("rx_bytes", "RX bytes", "size of these packets, IP header included"),
        *owner("the cgroup and process"),
    ),
    ladder=(_rung("cgroup-link", CgroupLink), _rung("cgroup-multi", CgroupAttach)),
    order=110,
    on_demand=True,
)
