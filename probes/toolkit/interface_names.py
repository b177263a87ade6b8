"""Names and kinds of interfaces by their numbers."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from errno import ENODEV
from fcntl import ioctl

from probes.errors import Gone
from probes.kernel.netlink import route
from probes.kernel.tick_cache import active, answered, cached

_SIOCGIFNAME, _SIOCGIFHWADDR = 0x8910, 0x8927  # include/uapi/linux/sockios.h
_MOST_IFINDEX = 0x7FFFFFFF  # an int of the kernel
_ARPHRD_ETHER, _ARPHRD_LOOPBACK = 1, 772  # include/uapi/linux/if_arp.h


def interface_name(ifindex: int) -> str:
    """Return the name an interface has now. Raises Gone, or OSError where it could not be asked.

    Any number is allowed: one that no interface can have belongs to none that exists.
    """
    if not 0 < ifindex <= _MOST_IFINDEX:
        raise Gone(f"no interface can have the number {ifindex}")
    if active() and (name := cached(_names).get(ifindex)):
        return name
    try:
        return socket.if_indextoname(ifindex)
    except OSError:
        pass
    # It hides why: ENOENT where no socket could be opened. This tells, for three times the cost.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = ioctl(any_socket, _SIOCGIFNAME, struct.pack("=16si20x", b"", ifindex))
        except OSError as failed:
            if failed.errno != ENODEV:
                raise
            raise Gone("the interface has gone") from None
    return os.fsdecode(answer[:16].split(b"\0")[0])


def _names() -> Mapping[int, str]:
    """Return all names; where all interfaces were listed in this reading, the kernel lists once."""
    links = answered(route.links)
    return {link.ifindex: link.name for link in links} if links else route.names()


def name_or_number(ifindex: int) -> str:
    """Return the name an interface has now, or if7 where it is gone."""
    try:
        return interface_name(ifindex)
    except Gone:
        return f"if{ifindex}"


def is_ethernet(ifindex: int) -> bool:
    """Return whether an interface's packets begin with an Ethernet header.

    The loopback's do as well.
    """
    request = struct.pack("=16s24x", os.fsencode(interface_name(ifindex)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        answer = ioctl(any_socket, _SIOCGIFHWADDR, request)
    return struct.unpack_from("=H", answer, 16)[0] in (_ARPHRD_ETHER, _ARPHRD_LOOPBACK)
