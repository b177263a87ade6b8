"""By which interface packets to an address leave this network namespace. Needs no privilege.

Numbers are those of include/uapi/linux/rtnetlink.h.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from struct import Struct

from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import attributes

_RTM_GETROUTE = 26
_RTMSG = Struct("=BBBBBBBBI")
"""struct rtmsg: family, lengths of the prefixes, tos, table, protocol, scope, type, flags."""
_ATTRIBUTE = Struct("=HH")
_RTA_DST, _RTA_OIF = 1, 4


def leaving(addresses: Sequence[str]) -> list[int | None]:
    """Return the index of the interface to which the route to each address leads; None: no route.

    As `ip route get` does, without source address, mark or user. Raises ProbeError.
    """
    return nlsocket.each(nlsocket.ROUTE, _RTM_GETROUTE, list(map(_asking, addresses)), _interface)


def _asking(address: str) -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    octets = socket.inet_pton(family, address)
    head = _RTMSG.pack(family, 8 * len(octets), 0, 0, 0, 0, 0, 0, 0)
    return head + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(octets), _RTA_DST) + octets


def _interface(data: bytes, start: int, end: int) -> int | None:
    for kind, at, to in attributes(data, start + _RTMSG.size, end):
        if kind == _RTA_OIF:
            return int.from_bytes(data[at:to], sys.byteorder)
    return None
