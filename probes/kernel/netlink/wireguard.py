"""WireGuard's interfaces, by generic netlink; include/uapi/linux/{genetlink,wireguard}.h."""

from __future__ import annotations

import os
import sys
from struct import Struct

from probes.errors import ProbeError, passing
from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import attribute, attributes

_GENERIC, _CONTROL = 16, 0x10  # NETLINK_GENERIC, GENL_ID_CTRL
_HEADER = Struct("=BBxx")  # struct genlmsghdr: command, version
_GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 3, 1, 2  # CTRL_CMD_GETFAMILY, CTRL_ATTR_*
_GET_DEVICE, _IFNAME, _LISTEN_PORT = 0, 2, 6  # WG_CMD_GET_DEVICE, WGDEVICE_A_*


def port(interface: str) -> int | None:
    """Return the UDP port that a WireGuard interface listens on; None where it is unavailable.

    CAP_NET_ADMIN. Linux 5.6. Raises ProbeError where the kernel cannot be asked just now, for want
    of files or memory.
    """
    try:
        family = nlsocket.get(
            _GENERIC, _CONTROL, _asked(_GET_FAMILY, _FAMILY_NAME, "wireguard"), _family
        )
        if family is None:
            return None
        body = _asked(_GET_DEVICE, _IFNAME, interface)
        return next(iter(nlsocket.dump(_GENERIC, family, body, _port)), None)
    except ProbeError as refused:
        if passing(refused):
            raise
        return None


def _asked(command: int, kind: int, name: str) -> bytes:
    return _HEADER.pack(command, 1) + attribute(kind, os.fsencode(name) + b"\0")


def _family(data: bytes, start: int, end: int) -> int | None:
    return _number(data, start, end, _FAMILY_ID)


def _port(data: bytes, start: int, end: int) -> int | None:
    return _number(data, start, end, _LISTEN_PORT)


def _number(data: bytes, start: int, end: int, wanted: int) -> int | None:
    for kind, at, to in attributes(data, start + _HEADER.size, end):
        if kind == wanted:
            return int.from_bytes(data[at:to], sys.byteorder)
    return None
