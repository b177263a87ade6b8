"""TCP round trips: every connection's RTT as the kernel estimates it, and its retransmits.

sock_ops and tcp_probe see samples as they are made; connections that were open before, and those
that no program can see, come from an iterator or sock_diag in the same rows, marked in the column
`from`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probes.attach.cgroup import CgroupAttach, CgroupLink
from probes.attach.tracepoint import BtfTracepoint, Tracepoint
from probes.hooks.tcp_rtt import open_sockets
from probes.hooks.tcp_rtt.columns import ConnectionColumns
from probes.hooks.tcp_rtt.open_sockets import ITERATOR, OpenSocket, OpenSockets, minimum
from probes.kernel import privilege
from probes.kernel.procfs import SocketOwners
from probes.model import Column, Flat, Hook, Kind, Opening, Program, Reading, Row, Rung, Value
from probes.point import AttachType
from probes.toolkit import counters_c, sockets_c
from probes.toolkit.c_files import c_source
from probes.toolkit.columns import quantile
from probes.toolkit.decode import address
from probes.toolkit.readers import Uncounted, row_of
from probes.units import Unit

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
        many = ConnectionColumns(columns, (source, ITERATOR))
        uncounted = Uncounted(opening, {})

        def read() -> Reading:
            entries = table.entries() if table is not None else None
            sockets.read()
            told = sockets.many
            if entries is not None and told is not None:
                whose = owners.find(set(told["inode"].tolist()))
                made = many.rows(entries, told, whose)
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
        Column(
            "cookie",
            "Cookie",
            Unit.NUMBER,
            Kind.KEY,
            "key",
            hidden=True,
            help="the socket's cookie",
        ),
        Column(
            "laddr",
            "Local",
            field="laddr",
            decode=address,
            width=22,
            label=False,
            help="local address",
        ),
        Column(
            "lport", "LPort", Unit.NUMBER, field="lport", width=5, label=False, help="local port"
        ),
        Column(
            "raddr",
            "Remote",
            field="raddr",
            decode=address,
            width=22,
            label=True,
            help="remote address",
        ),
        Column(
            "rport", "RPort", Unit.NUMBER, field="rport", width=5, label=False, help="remote port"
        ),
        Column("comm", "Command", width=16, label=True, help="the process that holds the socket"),
        Column("pid", "Pid", Unit.NUMBER, width=7, label=False, help="id of that process"),
        Column("srtt_us", "SRTT", Unit.US, field="srtt_us", help="smoothed round trip"),
        Column(
            "min_us",
            "Min",
            Unit.US,
            field="min_us",
            decode=minimum,
            help="the kernel's windowed minimum",
        ),
        Column("last_us", "Last", Unit.US, field="last_us", help="latest sample of the round trip"),
        Column(
            "rtt",
            "RTT",
            Unit.US,
            Kind.HISTOGRAM,
            "rtt",
            hidden=True,
            help="round trips, log2 of us",
        ),
        Column(
            "p50_us",
            "p50",
            Unit.US,
            Kind.DERIVED,
            derive=quantile("rtt", 0.5, least="min_us"),
            help="median, last 10 s, within a factor of two",
        ),
        Column(
            "p99_us",
            "p99",
            Unit.US,
            Kind.DERIVED,
            derive=quantile("rtt", 0.99, least="min_us"),
            help="99th percentile, last 10 s, within a factor of two",
        ),
        Column("samples", "Samples", Unit.COUNT, Kind.COUNTER, "samples", help="RTT samples seen"),
        Column(
            "retransmits",
            "Retrans",
            Unit.COUNT,
            Kind.COUNTER,
            "retransmits",
            help="segments retransmitted since the connection was opened",
        ),
        Column("from", "From", width=9, label=False, help="source of the round trip"),
    ),
    ladder=(
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
    reads_with=privilege.PROCESSES,
)
