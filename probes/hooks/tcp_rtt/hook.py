"""TCP round trips: every connection's RTT as the kernel estimates it, and its retransmits.

sock_ops and tcp_probe see samples as they are made; the best rung (`sock_ops_iter`) also those of
connections that were open before. On the others these, and on all those that no program can see,
come from an iterator or sock_diag in the same rows, marked in the column `from`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probes.arrays import FEW
from probes.hooks.tcp_rtt import open_sockets, sock_ops_iter
from probes.hooks.tcp_rtt.columns import ConnectionColumns
from probes.hooks.tcp_rtt.open_sockets import OpenSocket, OpenSockets, minimum
from probes.kernel import capabilities
from probes.kernel.procfs import SocketOwners
from probes.model import Flat
from probes.toolkit import (
    AttachType,
    BtfTracepoint,
    CgroupAttach,
    CgroupLink,
    Hook,
    Opening,
    Program,
    Reading,
    Row,
    Rung,
    Tracepoint,
    Unit,
    Value,
    c_source,
    counter,
    counters_c,
    derived,
    ends,
    histogram,
    holder,
    key,
    level,
    owner,
    p99,
    quantile,
    row_of,
    sockets_c,
)
from probes.toolkit.readers import Uncounted

_BUCKETS = 32

_CORE = (
    sockets_c.MAPPED
    + counters_c.UNCOUNTED
    + c_source(__file__, "rows.c", BUCKETS=_BUCKETS)
    + open_sockets.SOURCE
)
_SOCK_OPS = _CORE + sockets_c.OF_SOCK_OPS + c_source(__file__, "sock_ops.c")
_TYPED = _CORE + c_source(__file__, "typed.c")
_TRACEFS = _CORE + c_source(__file__, "tracefs.c")
_TYPES = (
    *open_sockets.TYPES,
    "trace_event_raw_tcp_probe",
    "trace_event_raw_inet_sock_set_state",
)


def _open(source: str) -> Callable[[Opening], Callable[[], Reading]]:
    """Return a reader of the map's rows (if any), completed by sock_diag and by the holders."""

    def open(opening: Opening) -> Callable[[], Reading]:
        columns = opening.hook.stored
        table = opening.tables.get("rows")
        row = row_of(columns, table) if table is not None else tuple
        at = {c.name: i for i, c in enumerate(columns)}
        known = [at[name] for name in OpenSocket._fields[:-1]]
        pid, comm, origin = at["pid"], at["comm"], at["from"]
        owners, sockets = SocketOwners(), OpenSockets(opening)
        many = ConnectionColumns(columns, source)
        uncounted = Uncounted(opening, {})

        def read() -> Reading:
            entries = table.entries() if table is not None else None
            sockets.read()
            told = sockets.many
            if told is not None and len(told) > FEW:
                whose = owners.find(set(told["inode"].tolist()))
                made = (
                    many.rows(entries, told, whose, sockets.origin)
                    if entries is not None
                    else many.of_sockets(told, whose, sockets.origin)
                )
                if made is not None:
                    return Reading(made, uncounted.read())
            return Reading(few(entries.rows() if entries is not None else []), uncounted.read())

        def few(entries: Iterable[Flat]) -> Iterable[Row]:
            seen: dict[int, list[Value]] = {}
            for entry in entries:
                values = seen[int(entry[0])] = list(row(entry))
                values[origin] = source
            now = sockets.all()
            whose = owners.find({s.inode for s in now})
            for socket in now:
                found = seen.get(socket.cookie)
                if found is None:
                    found = seen[socket.cookie] = [None] * len(columns)
                    found[origin] = sockets.origin
                # The estimate as it stands now: tcp_probe sees the one before each segment.
                for place, value in zip(known, socket, strict=False):
                    found[place] = value
                owner = whose.get(socket.inode)
                if owner is not None:
                    found[pid], found[comm] = owner.pid, owner.comm
            return [tuple(values) for values in seen.values()]

        return read

    return open


def _sock_ops(name: str, least: str, point: CgroupLink | CgroupAttach) -> Rung:
    return Rung(
        name,
        f"{least}, cgroup v2, CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN",
        _open("sock_ops"),
        source=_SOCK_OPS,
        types=_TYPES,
        programs=(Program("watch", point), open_sockets.PROGRAM),
        lasting=point.lasting,
    )


HOOK = Hook(
    name="tcp-rtt",
    title="RTT",
    question="Which TCP connections have a bad round trip or retransmit, and whose they are.",
    columns=(
        key("cookie", "Cookie", "the socket's cookie", Unit.NUMBER, field="key", hidden=True),
        *ends(),
        *holder("the process that holds the socket", label=True),
        level("srtt_us", "SRTT", "smoothed round trip", Unit.US),
        level("min_us", "Min", "the kernel's windowed minimum", Unit.US, decode=minimum),
        level("last_us", "Last", "latest sample of the round trip", Unit.US),
        histogram("rtt", "RTT", "round trips, log2 of us", Unit.US),
        derived(
            "p50_us",
            "p50",
            "median, last 10 s, within a factor of two",
            Unit.US,
            quantile("rtt", 0.5, least="min_us"),
        ),
        p99(Unit.US, quantile("rtt", 0.99, least="min_us")),
        counter("samples", "Samples", "RTT samples seen"),
        counter("retransmits", "Retrans", "segments retransmitted since the connection was opened"),
        counter("sent", "Sent", "data segments sent since then, those retransmitted among them"),
        level("from", "From", "source of the round trip", field=None, width=9, label=False),
        *owner("the process"),
    ),
    ladder=(
        sock_ops_iter.RUNG,
        _sock_ops("sock_ops-link", "Linux 5.10", CgroupLink(AttachType.CGROUP_SOCK_OPS)),
        _sock_ops("sock_ops-multi", "Linux 5.10", CgroupAttach(AttachType.CGROUP_SOCK_OPS)),
        Rung(
            "btf-tracepoint",
            "Linux 5.12, BTF, CAP_BPF, CAP_PERFMON",
            _open("tcp_probe"),
            source=_TYPED,
            types=_TYPES,
            programs=(
                Program("received", BtfTracepoint("tcp_probe")),
                Program("closed", BtfTracepoint("inet_sock_set_state")),
                open_sockets.PROGRAM,
            ),
        ),
        Rung(
            "tracepoint",
            "Linux 4.16, tracefs, CAP_BPF, CAP_PERFMON",
            _open("tcp_probe"),
            source=_TRACEFS,
            types=_TYPES,
            programs=(
                Program("received", Tracepoint("tcp", "tcp_probe")),
                Program("closed", Tracepoint("sock", "inet_sock_set_state")),
                open_sockets.PROGRAM,
            ),
        ),
        Rung("sock_diag", "nothing; other users' processes need root", _open("sock_diag")),
    ),
    order=80,
    rows_go=True,
    reads_with=capabilities.PROCESSES,
)
