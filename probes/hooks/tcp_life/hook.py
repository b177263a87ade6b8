"""TCP lives: connections from their establishment to their end, as rates by port and as a log."""

from __future__ import annotations

from probes.hooks.tcp_life import source
from probes.hooks.tcp_life.readers import SIDES, from_sock_diag, open_lives
from probes.hooks.tcp_life.source import TYPES
from probes.toolkit import (
    AttachType,
    BtfTracepoint,
    CgroupAttach,
    CgroupLink,
    Hook,
    Program,
    Rung,
    Tracepoint,
    Unit,
    byte_count,
    comm,
    counter,
    derived,
    ends,
    given,
    key,
    latency,
    level,
    logged_process,
    mean,
    owner,
    port_key,
)

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


HOOK = Hook(
    name="tcp-life",
    title="TCP lives",
    question=(
        "Which TCP connections begin and end, whose they are, how long they live and what they "
        "carry."
    ),
    columns=(
        key("caller", "Caller", "process that connects", Unit.NUMBER, hidden=True),
        key("name", "Name", "that process's name", decode=comm, hidden=True),
        key(
            "side",
            "Side",
            "out: we connect to this port; in: others connect to ours",
            field="inward",
            decode=_side,
            width=4,
        ),
        port_key("port", "Port", "out: remote port; in: local port"),
        level(
            "pid",
            "Pid",
            "out: process that connects; in: process that closed last, or listens",
            Unit.NUMBER,
            field=None,
            width=7,
        ),
        level("comm", "Command", "the process's name", field=None, width=16),
        counter("established", "Estab", "connections that were established"),
        counter("closed", "Closed", "connections that have ended"),
        level("open", "Open", "connections that have not ended", Unit.COUNT, field=None),
        counter("aborted", "Aborted", "ended by a reset or an error before both sides had closed"),
        counter("closed_there", "By peer", "the peer closed first"),
        counter("retransmits", "Retrans", "segments retransmitted"),
        byte_count(
            "tx", "Sent", "payload sent by connections that ended; with sock_diag, as it is sent"
        ),
        byte_count(
            "rx",
            "Received",
            "payload received by connections that ended; with sock_diag, as it arrives",
        ),
        *latency("closed", "time from establishment to end"),
        counter(
            "total_srtt", "SRTT sum", "sum of smoothed round trips at the end", Unit.US, hidden=True
        ),
        derived(
            "srtt_us",
            "SRTT",
            "mean smoothed round trip at the end, last 10 s",
            Unit.US,
            mean("total_srtt", "closed"),
        ),
        *owner("the process"),
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
    log=given(
        level("side", "Side", "out: we connected; in: the other side did", width=4),
        *logged_process("out: process that connected; in: process that closed"),
        *ends(),
        level("ns", "Lived", "from establishment to end", Unit.NS),
        level("tx", "Sent", "payload sent", Unit.BYTES),
        level("rx", "Received", "payload received", Unit.BYTES),
        level("retransmits", "Retrans", "segments retransmitted", Unit.COUNT),
        level("srtt_us", "SRTT", "smoothed round trip at the end", Unit.US),
        level("end", "End", "closed, or aborted by a reset or an error", width=7),
        *owner("the process"),
    ),
)
