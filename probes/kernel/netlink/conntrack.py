"""Packets of a connection as they look before this host has translated their addresses.

Layouts are those of include/uapi/linux/netfilter/nfnetlink{,_conntrack}.h.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from probes.errors import ProbeError, passing, short
from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import attributes

_NETFILTER = 12  # NETLINK_NETFILTER
_GET = 1 << 8 | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
_HEAD, _ATTRIBUTE = Struct("=BBH"), Struct("=HH")
_NESTED = 0x8000
_ORIGINAL, _REPLY = 1, 2  # CTA_TUPLE_*
_IP, _PROTO = 1, 2  # CTA_TUPLE_{IP,PROTO}
_ADDRESSES = {socket.AF_INET: (1, 2), socket.AF_INET6: (3, 4)}  # CTA_IP_V?_{SRC,DST}
_NUMBER, _FROM, _TO = 1, 2, 3  # CTA_PROTO_{NUM,SRC_PORT,DST_PORT}
_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")


class TrackedFlow(NamedTuple):
    """One direction of a TCP connection."""

    saddr: str
    sport: int
    daddr: str
    dport: int


def arriving(sent: TrackedFlow) -> TrackedFlow | None:
    """Return the answers to packets that this host sends, as they look when they arrive.

    None where the connection is not tracked: they then look as they do to the socket. Raises
    ProbeError or OSError where that cannot be told at the moment, for want of files or memory.
    """
    if not _tracks():
        return None
    family = socket.AF_INET6 if ":" in sent.saddr else socket.AF_INET
    body = _HEAD.pack(family, 0, 0) + _attribute(_ORIGINAL | _NESTED, _tuple(family, sent))
    try:
        both = nlsocket.get(_NETFILTER, _GET, body, _both)
    except ProbeError as refused:
        if passing(refused):
            raise
        return None
    return None if both is None else both[both[0] == sent]


def _tracks() -> bool:
    try:
        return int(_COUNT.read_text()) > 0
    except OSError as refused:
        if short(refused.errno):
            raise
        return False
    except ValueError:
        return False


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value.ljust((len(value) + 3) & ~3, b"\0")


def _tuple(family: int, flow: TrackedFlow) -> bytes:
    source, target = _ADDRESSES[socket.AddressFamily(family)]
    addresses = _attribute(source, ip_address(flow.saddr).packed)
    addresses += _attribute(target, ip_address(flow.daddr).packed)
    protocol = _attribute(_NUMBER, bytes([socket.IPPROTO_TCP]))
    protocol += _attribute(_FROM, flow.sport.to_bytes(2, "big"))
    protocol += _attribute(_TO, flow.dport.to_bytes(2, "big"))
    return _attribute(_IP | _NESTED, addresses) + _attribute(_PROTO | _NESTED, protocol)


def _both(data: bytes, start: int, end: int) -> tuple[TrackedFlow, TrackedFlow] | None:
    """Return the two directions of an entry, each as seen before it is translated."""
    found = {kind: (at, to) for kind, at, to in attributes(data, start + _HEAD.size, end)}
    try:
        return _flow(data, *found[_ORIGINAL]), _flow(data, *found[_REPLY])
    except (KeyError, ValueError, StopIteration):
        return None


def _flow(data: bytes, start: int, end: int) -> TrackedFlow:
    parts = {kind: (at, to) for kind, at, to in attributes(data, start, end)}
    addresses = {k: data[at:to] for k, at, to in attributes(data, *parts[_IP])}
    protocol = {k: data[at:to] for k, at, to in attributes(data, *parts[_PROTO])}
    source, target = next(pair for pair in _ADDRESSES.values() if pair[0] in addresses)
    return TrackedFlow(
        str(ip_address(addresses[source])),
        int.from_bytes(protocol[_FROM], "big"),
        str(ip_address(addresses[target])),
        int.from_bytes(protocol[_TO], "big"),
    )
