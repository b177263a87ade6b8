"""Numbers by which this network namespace knows others: RTM_GETNSID. Needs no privilege.

IFLA_LINK_NETNSID, as of the other end of a veth pair, is such a number. Linux 4.0.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from struct import Struct

from probes.errors import raise_if_short
from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import chosen

_RTM_GETNSID = 90
_NETNSA_NSID, _NETNSA_PID, _NETNSA_FD = 1, 2, 3
_REQUEST = Struct("=BxxxHHi")  # struct rtgenmsg, padded; one attribute
_RTGENMSG, _ATTRIBUTE = 4, 8
_ID = Struct("=i")
_NOT_ASSIGNED = -1


def of_processes(pids: Sequence[int]) -> list[int | None]:
    """Return the number of each process's network namespace.

    None where it has none here, and where the process has gone. Raises ProbeError.
    """
    return _asked(_NETNSA_PID, pids)


def of_files(files: Sequence[str]) -> list[int | None]:
    """Return the number of the network namespace of each file, as ip-netns(8) mounts them.

    None where it has none here, and where there is no such file. Raises ProbeError.
    """
    with ExitStack() as opened:
        fds = [_opened(file, opened) for file in files]
        return _asked(_NETNSA_FD, fds)


def _opened(file: str, stack: ExitStack) -> int:
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as refused:
        raise_if_short(refused)
        return -1
    stack.callback(os.close, fd)
    return fd


def _asked(attribute: int, values: Sequence[int]) -> list[int | None]:
    bodies = [_REQUEST.pack(0, _ATTRIBUTE, attribute, value) for value in values]
    return nlsocket.each(nlsocket.ROUTE, _RTM_GETNSID, bodies, _number)


def _number(data: bytes, start: int, end: int) -> int | None:
    found = chosen(data, start + _RTGENMSG, end, (_NETNSA_NSID,))
    if _NETNSA_NSID not in found:
        return None
    (number,) = _ID.unpack_from(data, found[_NETNSA_NSID][0])
    return None if number == _NOT_ASSIGNED else int(number)
