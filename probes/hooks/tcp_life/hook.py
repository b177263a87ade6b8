"""TCP lives: connections from their establishment to their end, as rates by port and as a log."""

from __future__ import annotations

from probes.attach.cgroup import CgroupAttach, CgroupLink
from probes.attach.tracepoint import BtfTracepoint, Tracepoint
from probes.hooks.tcp_life import source
from probes.hooks.tcp_life.readers import SIDES, from_sock_diag, open_lives
from probes.hooks.tcp_life.source import TYPES
from probes.model import Column, Hook, Kind, Program, Rung
from probes.point import AttachType
from probes.toolkit.columns import latency
from probes.toolkit.decode import comm
from probes.toolkit.window import mean
from probes.units import Unit

_NO_RETRANSMITS = "retransmits are counted only when a connection ends"


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
    question=(
        "Which TCP connections begin and end, whose they are, how long they live and what they "
        "carry."
    ),
    columns=(
        Column(
            "caller",
            "Caller",
            Unit.NUMBER,
            Kind.KEY,
            "caller",
            hidden=True,
            help="process that connects",
        ),
        Column(
            "name",
            "Name",
            kind=Kind.KEY,
            field="name",
            decode=comm,
            hidden=True,
            help="that process's name",
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
            "port",
            "Port",
            Unit.NUMBER,
            Kind.KEY,
            "port",
            width=5,
            help="out: remote port; in: local port",
        ),
        Column(
            "pid",
            "Pid",
            Unit.NUMBER,
            width=7,
            help="out: process that connects; in: process that closed last, or listens",
        ),
        Column("comm", "Command", width=16, help="the process's name"),
        _count("established", "Estab", "connections that were established"),
        _count("closed", "Closed", "connections that have ended"),
        Column("open", "Open", Unit.COUNT, help="connections that have not ended"),
        _count("aborted", "Aborted", "ended by a reset or an error before both sides had closed"),
        _count("closed_there", "By peer", "the peer closed first"),
        _count("retransmits", "Retrans", "segments retransmitted"),
        _count(
            "tx",
            "Sent",
            "payload sent by connections that ended; with sock_diag, as it is sent",
            Unit.BYTES,
        ),
        _count(
            "rx",
            "Received",
            ("payload received by connections that ended; with sock_diag, as it arrives"),
            Unit.BYTES,
        ),
        *latency("closed", "time from establishment to end"),
        Column(
            "total_srtt",
            "SRTT sum",
            Unit.US,
            Kind.COUNTER,
            "total_srtt",
            hidden=True,
            help="sum of smoothed round trips at the end",
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
            "nothing; other users' processes need root",
            from_sock_diag,
            misses=(
                "connections that live for less than an interval are not seen, nor is how "
                "connections end"
            ),
        ),
    ),
    order=82,
    on_demand=True,
    log=(
        Column("side", "Side", width=4, help="out: we connected; in: the other side did"),
        Column(
            "pid",
            "Pid",
            Unit.NUMBER,
            width=7,
            help="out: process that connected; in: process that closed",
        ),
        Column("comm", "Command", width=16, help="the process's name at that moment"),
        Column("laddr", "Local", width=22, help="local address"),
        Column("lport", "LPort", Unit.NUMBER, width=5, help="local port"),
        Column("raddr", "Remote", width=22, help="remote address"),
        Column("rport", "RPort", Unit.NUMBER, width=5, help="remote port"),
        Column("ns", "Lived", Unit.NS, help="from establishment to end"),
        Column("tx", "Sent", Unit.BYTES, help="payload sent"),
        Column("rx", "Received", Unit.BYTES, help="payload received"),
        Column("retransmits", "Retrans", Unit.COUNT, help="segments retransmitted"),
        Column("srtt_us", "SRTT", Unit.US, help="smoothed round trip at the end"),
        Column("end", "End", width=7, help="closed, or aborted by a reset or an error"),
    ),
)
