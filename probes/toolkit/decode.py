"""C fields to values, as named by `Column.decode`: bytes in, value out; nothing else.

`lazily` puts off what can be put off: of many rows, few are shown.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeVar

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells
from probes.model import Value
from probes.toolkit import links, restarts

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T", bound=Value)
_SCOPED, _LINK = Struct("=16xII"), Struct("=II")
_KERNEL_S_OWN = {**restarts.NAMES, 133: "EHWPOISON", 515: "ENOIOCTLCMD", 524: "ENOTSUPP"}


def comm(raw: Any) -> str:
    """Return a task's name: up to 15 bytes that its owner chose, so not always UTF-8.

    Like every name here it keeps its bytes (`os.fsdecode`); `units.printable` is for display.
    """
    return _comm(bytes(raw))


@lru_cache(4096)
def _comm(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "surrogateescape")


def address(raw: Any) -> str:
    """Return 16 bytes of IPv6 address as text; an IPv4-mapped one (::ffff:a.b.c.d) as IPv4.

    Of 24 bytes the rest is the link of a link-local address: interface and network namespace.
    """
    raw = bytes(raw)
    if len(raw) != _SCOPED.size:
        return _address(raw)
    text = _address(raw[:16])
    return links.scoped(text, *_SCOPED.unpack(raw)) if links.of_link(text) else text


@lru_cache(1 << 13)  # 300 bytes each; of many rows few are shown
def _address(raw: bytes) -> str:
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def named(names: Sequence[str], number: int) -> str:
    """Return names[number]; "?7" for a number without a name, as a map may hold any."""
    return names[number] if 0 <= number < len(names) else f"?{number}"


def errno_name(number: int) -> str:
    """Return ENOENT for 2, and names for the kernel's own, which no process ever sees."""
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
    """Return "tcp" for 6; a protocol without a common name by its number."""
    return _IP.get(number, f"ip {number}")


def packet_protocol(number: int) -> str:
    """Return "tcp", "arp" or "0x88b5" for EtherType << 8 | protocol of IP.

    "-" if there is no packet.
    """
    ethertype, ip = number >> 8, number & 0xFF
    if not ethertype:
        return "-"
    if ip and ethertype in (0x0800, 0x86DD):
        return ip_protocol(ip)
    return ethertype_name(ethertype)


def ethertype_name(number: Any) -> str:
    """Return "arp" for 0x0806; a value that is a length, not an EtherType, is an LLC frame."""
    if number < 0x600:
        return "llc"
    return _ETHERTYPES.get(number, f"0x{number:04x}")


_FAMILIES = {1: "unix", 2: "ipv4", 10: "ipv6", 16: "netlink", 17: "packet", 40: "vsock"}


def family(number: Any) -> str:
    """Return "ipv4" for AF_INET; an uncommon family by its number."""
    return _FAMILIES.get(number, f"af {number}")


def lazily(decode: Callable[[Any], Value], raw: NDArray[Any]) -> Cells | None:
    """Return cells that are decoded when they are asked for; None if they must be decoded now.

    raw: a field of many entries, bytes along the second axis. Only functions whose result depends
    on the value alone, and differs for different values, are called later.
    """
    made = _LAZILY.get(decode)
    return made(raw) if made is not None else None


def many(
    cells: Callable[[NDArray[Any]], Cells | None],
) -> Callable[[Callable[[Any], T]], Callable[[Any], T]]:
    """Mark a decoder with a function that does the same for a field of many entries."""

    def marked(decode: Callable[[Any], T]) -> Callable[[Any], T]:
        _LAZILY[decode] = cells
        return decode

    return marked


def _lazy_comm(raw: NDArray[Any]) -> Cells:
    """Return names without what is behind their end, which is not part of the name."""
    ended = np.logical_or.accumulate(raw == 0, axis=1)
    return CodedCells(np.where(ended, np.uint8(0), raw), comm)


def _lazy_address(raw: NDArray[Any]) -> Cells:
    """Return addresses; of link-local ones the link is named now, as its name may be another later.

    What others have in the place of a link is no part of the address.
    """
    if raw.shape[1] != _SCOPED.size:
        return CodedCells(np.ascontiguousarray(raw[:, :16]), _address)
    local = _of_link(raw[:, 0], raw[:, 1])
    if not local.any():
        return CodedCells(np.ascontiguousarray(raw[:, :16]), _address)
    found = sorted({bytes(end) for end in raw[local, 16:]})
    names = {end: links.scoped("", *_LINK.unpack(end)) for end in found}
    made = raw.copy()
    made[~local, 16:] = 0
    first: dict[str, bytes] = {}
    for end, name in names.items():
        if first.setdefault(name, end) != end:  # all that are not known have one name
            alike = local & (raw[:, 16:] == np.frombuffer(end, "u1")).all(axis=1)
            made[alike, 16:] = np.frombuffer(first[name], "u1")
    return CodedCells(made, _Scoped(names))


@dataclass(frozen=True, slots=True)
class _Scoped:
    """A decoder of addresses with links. names: "%eth0" by the eight bytes of a link."""

    names: Mapping[bytes, str]

    def __call__(self, raw: bytes) -> str:
        text = _address(raw[:16])
        return text + self.names[raw[16:]] if links.of_link(text) else text


def _of_link(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which addresses are valid on one link only, by their first two bytes."""
    unicast = (first == 0xFE) & (second & 0xC0 == 0x80)
    found: NDArray[np.bool_] = unicast | (first == 0xFF) & ((second == 1) | (second == 2))
    return found


def _lazy_number(decode: Callable[[Any], Value]) -> Callable[[NDArray[Any]], Cells]:
    return lambda raw: CodedCells(raw, decode)


_LAZILY: dict[Callable[[Any], Value], Callable[[NDArray[Any]], Cells | None]] = {
    comm: _lazy_comm,
    address: _lazy_address,
    **{decode: _lazy_number(decode) for decode in (ip_protocol, family, errno_name)},
}
