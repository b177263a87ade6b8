"""The C shared by sources about sockets: both ends, as a program of each kind sees them.

An address is 16 bytes, an IPv4 one as ::ffff:a.b.c.d, so that every end has one form, and 8 for the
link of a link-local one: interface and network namespace, 0 where that is not known
(`decode.address`). The destination must be zero before it is written. Ports are in host order.
"""

from __future__ import annotations

from probes.toolkit.c_files import c_source

OF_SOCK_TYPES = ("sock", "sock_common", "tcp_sock", "udp6_sock", "net")
"""Kernel types that a program at sockets or cgroups reads of a socket, or through `OF_SOCK`."""

OF_SOCK_ADDR_TYPES = (*OF_SOCK_TYPES, "task_struct", "pt_regs")
OF_FD_TYPES = ("task_struct", "files_struct", "fdtable", "file", "socket", *OF_SOCK_TYPES)

MAPPED = c_source(__file__, "addresses.h")
OF_SOCK_ADDR = c_source(__file__, "bound.h", "sock_addr.h")
OF_SOCK = c_source(__file__, "sock.h")
OF_FD = c_source(__file__, "fd.h")
OF_NAME = c_source(__file__, "sockaddr.h")


def _ends(context: str, function: str = "ends_of") -> str:
    return c_source(__file__, "ends.h", ENDS_CONTEXT=context, ENDS_OF=function)


def of_sock_ops(function: str = "ends_of") -> str:
    """Return the C for both ends at a sock_ops program. function: what it is called."""
    return c_source(__file__, "bound.h") + _ends("struct bpf_sock_ops", function)


OF_SOCK_OPS = of_sock_ops()
OF_SK_MSG = _ends("struct sk_msg_md")  # behind the one before
