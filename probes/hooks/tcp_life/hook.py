"""TCP lives: connections from their establishment to their end, as rates by port and as a log."""

from __future__ import annotations

from probes.attach.cgroup import CgroupAttach, CgroupLink
from probes.attach.tracepoint import BtfTracepoint, Tracepoint
from probes.hooks.tcp_life import source
from probes.hooks.tcp_life.readers import SIDES, from_sock_diag, open_lives
from probes.hooks.tcp_life.source import TYPES
from probes.model import Column, Hook, Kind, Program, Rung
from probes.point import AttachType
from probes.toolkit.columns import latency, mean
from probes.toolkit.decode import comm
from probes.units import Unit

_NO_RETRANSMITS = "retransmits are counted when a connection ends only"


def _sock_ops(name: str, point: CgroupLink | CgroupAttach) -> Rung:
    return Rung(
        name,
        "Linux 5.10, cgroup v2, CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN",
        open_lives,
        source=source.AT_SOCK_OPS,
        types=TYPES,
        programs=(Program("watch", point),),
        lasting=point.lasting,
    )


def _side(number: object) -> str:
    assert isinstance(number, int)
    return SIDES[number]


def _count(name: str, title: str, help: str, unit: Unit = Unit.COUNT) -> Column:
    return Column(name, title, unit, Kind.COUNTER, name, help=help)


HOOK = Hook(
    name="tcp-life",
    title="TCP lives",
    answers="Which TCP connections begin and end, whose, how long they live and what they carry.",
    columns=(
        Column(
            "caller", "Caller", Unit.NUMBER, Kind.KEY, "caller", hidden=True, help="who connects"
        ),
        Column(
            "name", "Name", kind=Kind.KEY, field="name", decode=comm, hidden=True, help="its name"
        ),
        Column(
            "side",
            "Side",
            kind=Kind.KEY,
            field="inward",
            decode=_side,
            width=4,
            help="out: we connect to this port; in: others connect to ours",
        ),
        Column(
            "port", "Port", Unit.NUMBER, Kind.KEY, "port", width=5, help="out: remote; in: local"
        ),
        Column(
            "pid", "Pid", Unit.NUMBER, width=7, help="who connects; in: who closed last, or listens"
        ),
        Column("comm", "Command", width=16, help="its name"),
        _count("established", "Estab", "connections that were established"),
        _count("closed", "Closed", "of them, those that have ended"),
        Column("open", "Open", Unit.COUNT, help="of them, those that have not"),
        _count("aborted", "Aborted", "ended before both sides had closed: a reset, or an error"),
        _count("closed_there", "By peer", "the peer closed first"),
        _count("retransmits", "Retrans", "segments sent again"),
        _count(
            "tx", "Sent", "payload sent by those that ended; sock_diag: as it is sent", Unit.BYTES
        ),
        _count("rx", "Received", "payload received, likewise", Unit.BYTES),
        *latency("closed", "time from establishment to end"),
        Column(
            "total_srtt",
            "SRTT sum",
            Unit.US,
            Kind.COUNTER,
            "total_srtt",
            hidden=True,
            help="at the end",
        ),
        Column(
            "srtt_us",
            "SRTT",
            Unit.US,
            Kind.DERIVED,
            derive=mean("total_srtt", "closed"),
            help="mean smoothed round trip at the end, last 10 s",
        ),
    ),
    ladder=(
        _sock_ops("sock_ops-link", CgroupLink(AttachType.CGROUP_SOCK_OPS)),
        _sock_ops("sock_ops-multi", CgroupAttach(AttachType.CGROUP_SOCK_OPS)),
        Rung(
            "btf-tracepoint",
            "Linux 5.9, BTF, CAP_BPF, CAP_PERFMON",
            open_lives,
            source=source.TYPED,
            types=TYPES,
            programs=(
                Program("state", BtfTracepoint("inet_sock_set_state")),
                Program("again", BtfTracepoint("tcp_retransmit_skb"), True, _NO_RETRANSMITS),
            ),
        ),
        Rung(
            "tracepoint",
            "Linux 4.20, tracefs, CAP_BPF, CAP_PERFMON",
            open_lives,
            source=source.TRACEFS,
            types=TYPES,
            programs=(
                Program("state", Tracepoint("sock", "inet_sock_set_state")),
                Program("again", Tracepoint("tcp", "tcp_retransmit_skb"), True, _NO_RETRANSMITS),
            ),
        ),
        Rung(
            "sock_diag",
            "nothing; other users' processes take root",
            from_sock_diag,
            misses="what lives for less than an interval is not seen, nor how connections end",
        ),
    ),
    order=82,
    on_demand=True,
    log=(
        Column("side", "Side", width=4, help="out: we connected; in: the other side did"),
        Column("pid", "Pid", Unit.NUMBER, width=7, help="who connected; in: who closed"),
        Column("comm", "Command", width=16, help="its name at that moment"),
        Column("laddr", "Local", width=22, help="local address"),
        Column("lport", "LPort", Unit.NUMBER, width=5, help="local port"),
        Column("raddr", "Remote", width=22, help="remote address"),
        Column("rport", "RPort", Unit.NUMBER, width=5, help="remote port"),
        Column("ns", "Lived", Unit.NS, help="from establishment to end"),
        Column("tx", "Sent", Unit.BYTES, help="payload"),
        Column("rx", "Received", Unit.BYTES, help="payload"),
        Column("retransmits", "Retrans", Unit.COUNT, help="segments sent again"),
        Column("srtt_us", "SRTT", Unit.US, help="smoothed round trip at the end"),
        Column("end", "End", width=7, help="closed, or aborted: by a reset or an error"),
    ),
)
