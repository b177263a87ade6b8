"""Numbers by which this network namespace knows others: RTM_GETNSID. Needs no privilege.

IFLA_LINK_NETNSID, as of the other end of a veth pair, is such a number. Linux 4.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import chosen

_RTM_GETNSID = 90
_NETNSA_NSID, _NETNSA_PID = 1, 2
_REQUEST = Struct("=BxxxHHI")  # struct rtgenmsg, padded; one attribute
_RTGENMSG, _ATTRIBUTE = 4, 8
_ID = Struct("=i")
_NOT_ASSIGNED = -1


def of_processes(pids: Sequence[int]) -> list[int | None]:
    """Return the number of each process's network namespace.

    None where it has none here, and where the process has gone. Raises ProbeError.
    """
    bodies = [_REQUEST.pack(0, _ATTRIBUTE, _NETNSA_PID, pid) for pid in pids]
    return nlsocket.each(nlsocket.ROUTE, _RTM_GETNSID, bodies, _number)


def _number(data: bytes, start: int, end: int) -> int | None:
    found = chosen(data, start + _RTGENMSG, end, (_NETNSA_NSID,))
    if _NETNSA_NSID not in found:
        return None
    (number,) = _ID.unpack_from(data, found[_NETNSA_NSID][0])
    return None if number == _NOT_ASSIGNED else int(number)
