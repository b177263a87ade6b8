"""Frames, byte by byte: what arrives is known without asking anybody's parser."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack

SENDER = b"\x02\0\0\0\0\x07"
SENDER_TEXT = "02:00:00:00:00:07"
BROADCAST = b"\xff" * 6
ETH_IP, ETH_IP6, ETH_ARP, Q, AD = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8
ICMP, TCP, UDP, ICMP6, SCTP = 1, 6, 17, 58, 132
HOP_BY_HOP, ROUTING, FRAGMENT, AUTH, DESTINATION = 0, 43, 44, 51, 60


def ethernet(ethertype: int, payload: bytes, *tags: int) -> bytes:
    """tags: EtherTypes of VLAN tags, outermost first; their ids are 7, 8, ..."""
    between = b"".join(pack("!HH", tag, 7 + i) for i, tag in enumerate(tags))
    return (BROADCAST + SENDER + between + pack("!H", ethertype) + payload).ljust(60, b"\0")


def ip(
    source: str,
    protocol: int,
    payload: bytes,
    *tags: int,
    to: str = "",
    offset: int = 0,
    more: bool = False,
    options: bytes = b"",
) -> bytes:
    """An IPv4 or IPv6 frame. offset: of a fragment, bytes; IPv4 only. options: of IPv4."""
    address = ip_address(source)
    if isinstance(address, IPv6Address):
        target = ip_address(to or "2001:db8::ff").packed
        header = pack("!IHBB", 6 << 28, len(payload), protocol, 64) + address.packed + target
        return ethernet(ETH_IP6, header + payload, *tags)
    return ethernet(ETH_IP, _ip4(address, protocol, payload, to, offset, more, options), *tags)


def _ip4(
    source: IPv4Address,
    protocol: int,
    payload: bytes,
    to: str,
    offset: int,
    more: bool,
    options: bytes,
) -> bytes:
    words = 5 + len(options) // 4
    header = pack(
        "!BBHHHBBH",
        4 << 4 | words,
        0,
        words * 4 + len(payload),
        1,
        (0x2000 if more else 0) | offset // 8,
        64,
        protocol,
        0,
    )
    target = ip_address(to or "192.0.2.255").packed
    return header + source.packed + target + options + payload


def ports(destination: int, source: int = 4096) -> bytes:
    """What TCP, UDP and SCTP begin with, and enough of the rest."""
    return pack("!HH", source, destination) + b"\0" * 16


def option(following: int, length: int = 8) -> bytes:
    """An IPv6 extension header of so many bytes, a multiple of eight."""
    return pack("!BB", following, length // 8 - 1) + b"\0" * (length - 2)


def authentication(following: int) -> bytes:
    """Its length counts words of four bytes, but for two."""
    return pack("!BB", following, 4) + b"\0" * 22


def piece(following: int, offset: int, *, more: bool) -> bytes:
    """The IPv6 fragment header. offset: bytes."""
    return pack("!BBHI", following, 0, offset | more, 1)
