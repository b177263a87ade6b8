"""TCP connects: which process connects where, how long it takes, and how it fails."""

from __future__ import annotations

from probes.attach.kprobe import FEW_RETURNS
from probes.hooks.tcp_connect.poll import from_sock_diag
from probes.hooks.tcp_connect.readers import open_connects
from probes.hooks.tcp_connect.source import SOURCES, TYPES
from probes.kernel import capabilities
from probes.toolkit import (
    CGROUP_ID,
    AttachType,
    BtfTracepoint,
    CgroupLink,
    Fentry,
    Fexit,
    Hook,
    Kprobe,
    Kretprobe,
    Program,
    RawTracepoint,
    Rung,
    Tracepoint,
    Unit,
    address,
    counter,
    given,
    key,
    latency,
    level,
    logged_process,
    owner,
    port_key,
    process,
)

_LOADS = "CAP_BPF, CAP_PERFMON"
_AT_ONCE = "connects that fail at once (no route, no port) are not seen"
_BEFORE_TCP = "connects that a cgroup program, a security module or seccomp refuses are not seen"
_NO_CALL = (
    "connects that fail at once are not seen from io_uring, sendto(MSG_FASTOPEN), 32-bit and "
    "x32 programs and the kernel itself, nor are those that seccomp refuses; where io_uring or "
    "these programs defer the SYN (TCP_FASTOPEN_CONNECT), the time includes the wait for their "
    "first write"
)
_WHY_AT_ONCE = (
    "the error of a connect that sent nothing (no route, no port) is not seen, and with "
    "TCP_FASTOPEN_CONNECT the failure only after a minute; connects that a security module or "
    "seccomp refuses, and those of the kernel itself, are not seen"
)
_SYSCALL = (
    Program("connect_leave", Tracepoint("syscalls", "sys_exit_connect"), True, _AT_ONCE),
    Program("connect_enter", Tracepoint("syscalls", "sys_enter_connect"), True, _AT_ONCE),
)

LADDER = (
    Rung(
        "fentry",
        f"Linux 5.5, BTF, {_LOADS}",
        open_connects,
        source=SOURCES["fentry"],
        types=TYPES,
        programs=(
            Program("settled", BtfTracepoint("inet_sock_set_state")),
            Program("connected4", Fexit("tcp_v4_connect")),
            Program("connected6", Fexit("tcp_v6_connect")),
            Program("connect4", Fentry("tcp_v4_connect")),
            Program("connect6", Fentry("tcp_v6_connect")),
        ),
        misses=_BEFORE_TCP,
    ),
    Rung(
        "kprobe",
        f"Linux 4.20, CONFIG_KPROBES, {_LOADS}",
        open_connects,
        source=SOURCES["kprobe"],
        types=TYPES,
        programs=(
            Program("settled", RawTracepoint("inet_sock_set_state")),
            Program("connected4", Kretprobe("tcp_v4_connect")),
            Program("connected6", Kretprobe("tcp_v6_connect")),
            Program("connect4", Kprobe("tcp_v4_connect")),
            Program("connect6", Kprobe("tcp_v6_connect")),
        ),
        misses=f"{FEW_RETURNS}; {_BEFORE_TCP}",
    ),
    Rung(
        "btf-tracepoint",
        f"Linux 5.5, BTF, {_LOADS}",
        open_connects,
        source=SOURCES["typed"],
        types=TYPES,
        programs=(Program("settled", BtfTracepoint("inet_sock_set_state")), *_SYSCALL),
        misses=_NO_CALL,
    ),
    Rung(
        "tracepoint",
        f"Linux 4.20, tracefs, {_LOADS}",
        open_connects,
        source=SOURCES["tracefs"],
        types=TYPES,
        programs=(Program("settled", Tracepoint("sock", "inet_sock_set_state")), *_SYSCALL),
        misses=_NO_CALL,
    ),
    Rung(
        "sock_ops",
        f"Linux 5.10, cgroup v2, {_LOADS}, CAP_NET_ADMIN",
        open_connects,
        source=SOURCES["sock_ops"],
        types=TYPES,
        programs=(
            Program("watch", CgroupLink(AttachType.CGROUP_SOCK_OPS)),
            Program("who4", CgroupLink(AttachType.CGROUP_INET4_CONNECT)),
            Program("who6", CgroupLink(AttachType.CGROUP_INET6_CONNECT)),
        ),
        misses=_WHY_AT_ONCE,
    ),
    Rung("sock_diag", "nothing; other users' processes need root", from_sock_diag),
)

HOOK = Hook(
    name="tcp-connect",
    title="TCP connects",
    question="Which processes connect where, how long it takes, and how it fails.",
    columns=(
        *process("process that called connect()", label=False),
        key("raddr", "Destination", "IPv4 or IPv6 address", decode=address, width=22),
        port_key("rport", "Port", "TCP port"),
        counter("connects", "Connects", "attempts begun"),
        counter("established", "Estab", "attempts that succeeded"),
        counter("failed", "Failed", "attempts that failed, for any reason", field=None),
        counter("refused", "Refused", "ECONNREFUSED: the peer sent a reset"),
        counter("unreachable", "Unreach", "EHOSTUNREACH, ENETUNREACH"),
        counter("timed_out", "Timeout", "ETIMEDOUT: the peer did not answer"),
        counter("gave_up", "Gave up", "closed by the process before an answer"),
        counter("no_port", "No port", "EADDRNOTAVAIL: no local port was left"),
        counter("other", "Other", "failed with another errno"),
        level("errno", "Errno", "errno of the latest failure; 0: none", Unit.NUMBER, field="error"),
        level("pending", "Pending", "attempts still under way", Unit.COUNT, field=None),
        level("late", "Late", "those under way for a second or longer", Unit.COUNT, field=None),
        level(
            "oldest_ns", "Oldest", "how long the oldest of these has waited", Unit.NS, field=None
        ),
        level(
            "via",
            "By",
            "interface by which late SYNs leave, as routes are now",
            field=None,
            width=10,
        ),
        # An attempt whose SYN waited for the first write (TCP_FASTOPEN_CONNECT) has no time.
        *latency("latency", "time to establish"),
        CGROUP_ID,
        *owner("the process"),
    ),
    ladder=LADDER,
    order=70,
    reads_with=capabilities.PROCESSES,
    log=given(
        *logged_process("process that called connect()"),
        level("raddr", "Destination", "IPv4 or IPv6 address", width=22),
        level("rport", "Port", "TCP port", Unit.NUMBER, width=5),
        level("result", "Result", "established, refused, unreachable, timed out...", width=12),
        level(
            "ns",
            "Took",
            "from connect() to the result; none where the SYN waited for the first write",
            Unit.NS,
        ),
        *owner("the process"),
    ),
)
