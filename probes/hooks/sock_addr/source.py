"""The C that counts the addresses that processes pass to the kernel: connect, bind, sendmsg.

Programs at cgroups see every kind of call. Those at system calls see the usual ones.
"""

from __future__ import annotations

from probes.kernel import syscall_table
from probes.point import AttachType
from probes.toolkit.c_files import c_source
from probes.toolkit.sockets_c import (
    MAPPED,
    OF_FD,
    OF_FD_TYPES,
    OF_NAME,
    OF_SOCK_ADDR,
    OF_SOCK_ADDR_TYPES,
)
from probes.toolkit.syscalls_c import compat
from probes.toolkit.who_c import WHO, WHO_AT_CGROUP

OPERATIONS = ("connect", "bind", "sendmsg", "recvmsg", "getpeername")
TYPES = (*OF_FD_TYPES, *OF_SOCK_ADDR_TYPES, "thread_info")
MAX_ROWS = 8192

_CORE = MAPPED + c_source(__file__, "rows.c", MAX_ROWS=MAX_ROWS)

_PLACES = {
    "connect": ("CGROUP_INET4_CONNECT", "CGROUP_INET6_CONNECT"),
    "bind": ("CGROUP_INET4_BIND", "CGROUP_INET6_BIND"),
    "sendmsg": ("CGROUP_UDP4_SENDMSG", "CGROUP_UDP6_SENDMSG"),
    "recvmsg": ("CGROUP_UDP4_RECVMSG", "CGROUP_UDP6_RECVMSG"),
    "getpeername": ("CGROUP_INET4_GETPEERNAME", "CGROUP_INET6_GETPEERNAME"),
}
PLACES = {
    f"{op}{version}": AttachType[name]
    for op, names in _PLACES.items()
    for version, name in zip((4, 6), names, strict=True)
}
"""Each program at a cgroup, and its attach point."""

AT_CGROUP = (
    WHO_AT_CGROUP
    + _CORE
    + OF_SOCK_ADDR
    + c_source(__file__, "at_cgroup.c")
    + "".join(
        f"int {name}(struct bpf_sock_addr *ctx) {{ struct who who = {{}}; "
        f"asked{name[-1]}(ctx, who.address); "
        f"return seen_at(ctx, &who, {OPERATIONS.index(name[:-1])}); }}\n"
        for name in PLACES
    )
)

_CALLED = OF_FD + OF_NAME + c_source(__file__, "called.c")
AT_CALLS = WHO + _CORE + _CALLED + c_source(__file__, "calls.c")
_NUMBERS = {
    name.upper(): syscall_table.number(name) for name in ("connect", "bind", "sendto", "sendmsg")
}


def at_every_call(_: str = "") -> str:
    every_call = c_source(__file__, "every_call.c", **_NUMBERS)
    return WHO + _CORE + _CALLED + compat(typed=True) + every_call
