"""C fields to values: what `Column.decode` names. Bytes in, value out; nothing else."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from probes.toolkit import links, restarts

_SCOPED = Struct("=16xII")
_KERNEL_S_OWN = {**restarts.NAMES, 515: "ENOIOCTLCMD"}


def comm(raw: Any) -> str:
    """A task's name: up to 15 bytes that its owner chose, so not always UTF-8.

    Like every name here it keeps its bytes (`os.fsdecode`); `units.printable` is for what is shown.
    """
    return _comm(bytes(raw))


@lru_cache(4096)
def _comm(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "surrogateescape")


def address(raw: Any) -> str:
    """16 bytes of IPv6 address as text; an IPv4-mapped one (::ffff:a.b.c.d) as IPv4.

    Of 24 bytes the rest is the link of a link-local one: interface and network namespace.
    """
    raw = bytes(raw)
    if len(raw) != _SCOPED.size:
        return _address(raw)
    text = _address(raw[:16])
    return links.scoped(text, *_SCOPED.unpack(raw)) if links.of_link(text) else text


@lru_cache(1 << 16)
def _address(raw: bytes) -> str:
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def named(names: Sequence[str], number: int) -> str:
    """names[number]; "?7" for a number that has no name, whatever a map may hold."""
    return names[number] if 0 <= number < len(names) else f"?{number}"


def errno_name(number: int) -> str:
    """ENOENT for 2; the kernel's own, which no process ever sees, by name too."""
    return errno.errorcode.get(number) or _KERNEL_S_OWN.get(number, f"errno {number}")


_IP = {
    1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "6in4", 44: "fragment",
    47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 103: "pim", 112: "vrrp", 132: "sctp",
}  # fmt: skip
_ETHERTYPES = {
    0x0800: "ipv4", 0x0806: "arp", 0x8035: "rarp", 0x8100: "vlan", 0x86DD: "ipv6", 0x8847: "mpls",
    0x8863: "pppoe", 0x8864: "pppoe", 0x888E: "eapol", 0x88A8: "qinq", 0x88CC: "lldp",
}  # fmt: skip


def ip_protocol(number: Any) -> str:
    """6 -> "tcp"; one without a common name by its number."""
    return _IP.get(number, f"ip {number}")


def packet_protocol(number: int) -> str:
    """EtherType << 8 | protocol of IP -> "tcp", "arp", "0x88b5"; "-" where there is no packet."""
    ethertype, ip = number >> 8, number & 0xFF
    if not ethertype:
        return "-"
    if ip and ethertype in (0x0800, 0x86DD):
        return ip_protocol(ip)
    return ethertype_name(ethertype)


def ethertype_name(number: Any) -> str:
    """0x0806 -> "arp"; what is no EtherType but a length is a frame of LLC."""
    if number < 0x600:
        return "llc"
    return _ETHERTYPES.get(number, f"0x{number:04x}")


_FAMILIES = {1: "unix", 2: "ipv4", 10: "ipv6", 16: "netlink", 17: "packet", 40: "vsock"}


def family(number: Any) -> str:
    """AF_INET -> "ipv4"; a family that is seldom seen by its number."""
    return _FAMILIES.get(number, f"af {number}")
