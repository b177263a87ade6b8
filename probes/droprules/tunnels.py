"""Tunnels that lead to an address, and how their outer packets look when they come in.

Known are ipip, sit, ip6tnl, gre and erspan (also in UDP: fou, gue), vxlan, geneve, WireGuard, IPsec
by interfaces (xfrm, vti) or by policies, and tun devices of processes (OpenVPN, Tailscale), with
what is stacked on them. Numbers are those of include/uapi/linux/{if_link,if_tunnel,rtnetlink}.h.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from struct import Struct
from typing import NamedTuple

from probes.errors import ProbeError, passing
from probes.kernel import procfs
from probes.kernel.netlink import changes, sock_diag, xfrm
from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import attributes, text

_RTM_GETLINK, _RTM_GETADDR, _RTM_GETROUTE = 18, 22, 26
_IFINFO, _IFADDR, _RTMSG = Struct("=BxHiII"), Struct("=BBBBI"), Struct("=BBBBBBBBI")
_IFNAME, _LINK, _MASTER, _LINKINFO, _LINK_NETNSID = 3, 5, 10, 18, 37  # IFLA_*
_KIND, _DATA = 1, 2  # IFLA_INFO_*
_DST, _OIF = 1, 4  # RTA_*
_ADDRESS, _LOCAL = 1, 2  # IFA_*
IPIP, TCP, UDP, IPV6, GRE, ESP = 4, 6, 17, 41, 47, 50  # IPPROTO_*


class End(NamedTuple):
    """Packets that carry a session.

    From that address ("": anyone's), of that protocol of IP, to that port (0: to any, or there are
    none).
    """

    address: str
    protocol: int
    port: int = 0


class _TunnelKind(NamedTuple):
    """A kind of tunnel.

    protocols: of the outer packets. remote: attributes with the other end's address. port: the one
    with the UDP port. wrapped: the one that says whether it goes in UDP.
    """

    protocols: tuple[int, ...]
    remote: tuple[int, ...] = ()
    port: int = 0
    wrapped: int = 0


_IPTUN = _TunnelKind((IPIP, IPV6), (3,), wrapped=15)  # IFLA_IPTUN_{REMOTE,ENCAP_TYPE}
_OF_GRE = _TunnelKind((GRE,), (7,), wrapped=14)  # IFLA_GRE_{REMOTE,ENCAP_TYPE}
_OF_VTI = _TunnelKind((ESP,), (5,))  # IFLA_VTI_REMOTE
_KINDS: Mapping[str, _TunnelKind] = {
    **dict.fromkeys(("ipip", "sit", "ip6tnl"), _IPTUN),
    **dict.fromkeys(("gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan"), _OF_GRE),
    **dict.fromkeys(("vti", "vti6"), _OF_VTI),
    "xfrm": _TunnelKind((ESP,)),
    "vxlan": _TunnelKind((UDP,), (2, 16), 15),  # IFLA_VXLAN_{GROUP,GROUP6,PORT}
    "geneve": _TunnelKind((UDP,), (2, 7), 5),  # IFLA_GENEVE_{REMOTE,REMOTE6,PORT}
}
_IPSEC_NAT, _IKE = 4500, 500
"""UDP ports of ESP behind address translation (RFC 3948), and of key exchange."""


class _Device(NamedTuple):
    """A device. master, link: interfaces that it is a part of, and lies on; 0: none here."""

    ifindex: int
    name: str
    kind: str
    master: int
    link: int
    data: Mapping[int, bytes]


def ends(addresses: Iterable[str] | None) -> frozenset[End]:
    """Return the outer packets of all tunnels to these addresses; None: of all there are.

    Raises ProbeError where the kernel does not list devices or routes.
    """
    devices = _devices()
    asked = None if addresses is None else tuple(addresses)
    found, seen = set(_of_policies(asked)), set[int]()
    todo = list(devices) if asked is None else [_way(address) for address in asked]
    todo += [_way(end.address) for end in found]
    while todo:
        if (device := devices.get(todo.pop())) is None or device.ifindex in seen:
            continue
        seen.add(device.ifindex)
        todo += _under(device, devices)
        outer = set(_outer(device))
        todo += [_way(end.address) for end in outer if end.address]  # it may be in a tunnel itself
        found |= outer
    return frozenset(found)


def interfaces_of(remote: str, local: str) -> frozenset[int]:
    """Return the interfaces that packets from one address to the other may come in by.

    Those that they lie on are among them; none where it is not known. Raises ProbeError.
    """
    devices, found = _devices(), set[int]()
    body = _IFADDR.pack(0, 0, 0, 0, 0)
    addresses = nlsocket.dump(nlsocket.ROUTE, _RTM_GETADDR, body, _interface_address)
    todo = [_way(remote), *(index for index, address in addresses if address == local)]
    while todo:
        if (device := devices.get(todo.pop())) is not None and device.ifindex not in found:
            found.add(device.ifindex)
            todo += _under(device, devices)
    return frozenset(found)


_TO_CONTAINERS = frozenset({"veth", "bridge", "macvlan", "ipvlan", "netkit"})


class Containers:
    """Addresses that may belong to other network namespaces of this host.

    They are told by the kind of interface that leads to them. Raises ProbeError.
    """

    def __init__(self) -> None:
        self._indexes = {d.ifindex for d in _devices().values() if d.kind in _TO_CONTAINERS}
        self._known: dict[str, bool] = {}

    def may_have(self, address: str) -> bool:
        if not self._indexes:
            return False
        if address not in self._known:
            self._known[address] = _way(address) in self._indexes
        return self._known[address]


def _under(device: _Device, devices: Mapping[int, _Device]) -> list[int]:
    """Return what a device lies on: of a VLAN its interface, of a bridge its ports."""
    return [device.link, *(d.ifindex for d in devices.values() if d.master == device.ifindex)]


def _of_policies(addresses: Iterable[str] | None) -> Iterator[End]:
    for gateway in xfrm.gateways(addresses):
        if gateway.address:
            yield End(gateway.address, gateway.protocol)
            yield from (End(gateway.address, UDP, port) for port in (_IPSEC_NAT, _IKE))


def _outer(device: _Device) -> Iterator[End]:
    if device.kind == "wireguard":
        if port := changes.wireguard_port(device.name):
            yield End("", UDP, port)  # its peers may roam
    elif device.kind == "tun":
        yield from _of_process(device.name)
    elif (kind := _KINDS.get(device.kind)) is not None:
        address = next((a for n in kind.remote if (a := _remote(device.data.get(n)))), "")
        port = int.from_bytes(device.data.get(kind.port, b"")[:2], "big")
        for protocol in kind.protocols:
            yield End(address, protocol, port)
        if port:
            yield from [End(address, UDP)] if address else ()  # its fragments
        if ESP in kind.protocols:
            yield from (End(address, UDP, port) for port in (_IPSEC_NAT, _IKE))
        if any(device.data.get(kind.wrapped, b"")):
            yield End(address, UDP)


def _of_process(name: str) -> Iterator[End]:
    """Yield the sockets of a tun device's process, as root sees them."""
    held = {inode for pid in procfs.tun_holders(name) for inode in procfs.sockets(pid)}
    for inode, port in procfs.udp_ports().items():
        if inode in held:
            yield End("", UDP, port)
    for s in sock_diag.tcp_sockets(sock_diag.OPEN) if held else ():
        if s.inode in held:
            yield End(s.raddr, TCP, s.lport)


def _remote(raw: bytes | None) -> str:
    """Return an address as text; "" where it is none, or a group's."""
    if raw is None or len(raw) not in (4, 16):
        return ""
    address = ip_address(raw)
    return "" if address.is_unspecified or address.is_multicast else str(address)


def _way(address: str) -> int:
    """Return the interface that packets to an address leave by, 0 where there is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    raw = socket.inet_pton(family, address)
    head = _RTMSG.pack(family, len(raw) * 8, 0, 0, 0, 0, 0, 0, 0)
    body = head + Struct("=HH").pack(4 + len(raw), _DST) + raw
    try:
        return nlsocket.get(nlsocket.ROUTE, _RTM_GETROUTE, body, _oif) or 0
    except ProbeError as refused:
        if passing(refused):
            raise
        return 0  # unreachable


def _oif(data: bytes, start: int, end: int) -> int:
    for attribute, at, to in attributes(data, start + _RTMSG.size, end):
        if attribute == _OIF:
            return int.from_bytes(data[at:to], sys.byteorder)
    return 0


def _interface_address(data: bytes, start: int, end: int) -> tuple[int, str] | None:
    found = {kind: data[at:to] for kind, at, to in attributes(data, start + _IFADDR.size, end)}
    raw = found.get(_LOCAL, found.get(_ADDRESS, b""))
    index = _IFADDR.unpack_from(data, start)[4]
    return (index, str(ip_address(raw))) if len(raw) in (4, 16) else None


def _devices() -> dict[int, _Device]:
    every = nlsocket.dump(nlsocket.ROUTE, _RTM_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0), _device)
    return {device.ifindex: device for device in every}


def _device(data: bytes, start: int, end: int) -> _Device:
    index = _IFINFO.unpack_from(data, start)[2]
    found = {kind: (at, to) for kind, at, to in attributes(data, start + _IFINFO.size, end)}
    info = {k: (at, to) for k, at, to in attributes(data, *found.get(_LINKINFO, (0, 0)))}
    inner = {k: data[at:to] for k, at, to in attributes(data, *info.get(_DATA, (0, 0)))}

    def number(attribute: int) -> int:
        at, to = found.get(attribute, (0, 0))
        return int.from_bytes(data[at:to], sys.byteorder)

    # In another namespace it is another's number.
    link = 0 if _LINK_NETNSID in found else number(_LINK)
    name, kind = text(data, *found[_IFNAME]), text(data, *info.get(_KIND, (0, 0)))
    return _Device(index, name, kind, number(_MASTER), link, inner)
