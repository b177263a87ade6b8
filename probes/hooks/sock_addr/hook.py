"""Socket addresses: which process of which cgroup connects, binds and sends where.

Counted when the call is made, so calls that fail later count as well. It only observes: every
program leaves the address as it is.
"""

from __future__ import annotations

from probes.hooks.sock_addr import source
from probes.hooks.sock_addr.readers import from_sock_diag, open_addresses, operation
from probes.hooks.sock_addr.source import PLACES, TYPES
from probes.toolkit import (
    AttachType,
    BtfTracepoint,
    CgroupAttach,
    CgroupLink,
    Hook,
    Program,
    Rung,
    Tracepoint,
    address,
    cgroup,
    counter,
    family,
    ip_protocol,
    key,
    owner,
    port_key,
    process,
)

_NO_PEERNAME = "getpeername() is not seen"
_NO_LINK = (
    "the interface of a link-local address is not known where io_uring, sendmmsg() or a 32-bit "
    "program gives it to a socket that is not bound to that interface"
)
_BY_CALLS = (
    "calls of 32-bit and x32 programs, io_uring and sendmmsg() are not seen, nor are recvmsg() "
    "and getpeername()"
)


def _at_cgroup(name: str, least: str, point: type[CgroupLink] | type[CgroupAttach]) -> Rung:
    optional = {AttachType.CGROUP_INET4_GETPEERNAME, AttachType.CGROUP_INET6_GETPEERNAME}
    return Rung(
        name,
        f"{least}, cgroup v2, CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN",
        open_addresses,
        source=source.AT_CGROUP,
        types=TYPES,
        programs=tuple(
            Program(function, point(kind), kind in optional, _NO_PEERNAME * (kind in optional))
            for function, kind in PLACES.items()
        ),
        lasting=point is CgroupAttach,
        misses=_NO_LINK,
    )


HOOK = Hook(
    name="sock-addr",
    title="Addresses",
    question="Which process of which cgroup connects, binds and sends to which address.",
    columns=(
        *cgroup(),
        *process("process that makes the call", "the process's name"),
        key(
            "operation",
            "Operation",
            "connect, bind, sendmsg, recvmsg (the sender's address), getpeername",
            field="op",
            decode=operation,
            width=11,
        ),
        key("family", "Family", "address family of the socket", decode=family, width=6),
        key("protocol", "Proto", "IP protocol of the socket", decode=ip_protocol, width=6),
        key("address", "Address", "IPv4 or IPv6 address in the call", decode=address, width=26),
        port_key("port", "Port", "0: any, for bind; all, for recvmsg and getpeername"),
        counter("calls", "Calls", "number of calls", field="value"),
        *owner("the process"),
    ),
    ladder=(
        _at_cgroup("cgroup-link", "Linux 5.10", CgroupLink),
        _at_cgroup("cgroup-multi", "Linux 5.10", CgroupAttach),
        Rung(
            "tracepoint",
            "Linux 4.18, tracefs, CAP_BPF, CAP_PERFMON",
            open_addresses,
            source=source.AT_CALLS,
            types=TYPES,
            programs=tuple(
                Program(call, Tracepoint("syscalls", f"sys_enter_{call}"))
                for call in ("connect", "bind", "sendto", "sendmsg")
            ),
            misses=_BY_CALLS,
        ),
        Rung(
            "btf-tracepoint",
            "Linux 5.5, BTF, CAP_BPF, CAP_PERFMON",
            open_addresses,
            source=source.at_every_call,
            types=TYPES,
            programs=(Program("enter", BtfTracepoint("sys_enter")),),
            misses=_BY_CALLS,
        ),
        Rung(
            "sock_diag",
            "nothing; other users' processes need root",
            from_sock_diag,
            misses=(
                "sockets that live for less than an interval are not seen, nor is what they send"
            ),
        ),
    ),
    order=72,
    on_demand=True,
)
