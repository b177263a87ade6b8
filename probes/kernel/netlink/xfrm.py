"""IPsec without an interface of its own: who sends the packets that its policies make.

They are found in the policies that `ip xfrm policy` lists, which takes CAP_NET_ADMIN, as dropping
does. Layouts are those of include/uapi/linux/xfrm.h.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from struct import Struct
from typing import NamedTuple

from probes.errors import ProbeError, passing
from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import attributes

_GET_POLICY, _TMPL = 0x15, 5  # XFRM_MSG_GETPOLICY, XFRMA_TMPL
_ALL = bytes(64)  # struct xfrm_userpolicy_id
# struct xfrm_userpolicy_info: destination, source, family and lengths of their prefixes
_POLICY, _DIRECTION, _POLICY_SIZE = Struct("=16s16s8xHBB"), 160, 168
# struct xfrm_user_tmpl: destination, protocol, family, source
_TEMPLATE = Struct("=16s4xB3xH2x16s20x")
_OUT = 1


class Gateway(NamedTuple):
    """A sender of outer packets ("": the peer itself), and their protocol of IP."""

    address: str
    protocol: int


class _Policy(NamedTuple):
    """A policy: the networks it is for, and the gateways of their packets."""

    network: IPv4Network | IPv6Network
    gateways: tuple[Gateway, ...]


def gateways(addresses: Iterable[str] | None) -> Iterator[Gateway]:
    """Yield the gateways of the policies for these addresses; None: of all there are.

    Raises ProbeError where they cannot be listed at the moment, for want of files or memory.
    """
    try:
        policies = nlsocket.dump(nlsocket.XFRM, _GET_POLICY, _ALL, _policy)
    except ProbeError as refused:  # a kernel without IPsec
        if passing(refused):
            raise
        return
    if addresses is None:
        for policy in policies:
            yield from policy.gateways
        return
    for address in map(ip_address, addresses):
        for policy in policies:
            if address in policy.network:
                yield from (
                    g if g.address else Gateway(str(address), g[1]) for g in policy.gateways
                )


def _policy(data: bytes, start: int, end: int) -> _Policy | None:
    to, by, family, to_length, by_length = _POLICY.unpack_from(data, start)
    out = data[start + _DIRECTION] == _OUT
    raw, length = (to, to_length) if out else (by, by_length)
    try:
        network = ip_network((_raw(raw, family), length), strict=False)
    except ValueError:
        return None
    found = {kind: (at, until) for kind, at, until in attributes(data, start + _POLICY_SIZE, end)}
    at, until = found.get(_TMPL, (0, 0))
    return _Policy(network, tuple(_gateways(data[at:until], out=out)))


def _gateways(templates: bytes, *, out: bool) -> Iterator[Gateway]:
    for to, protocol, family, by in _TEMPLATE.iter_unpack(templates):
        address = ip_address(_raw(to if out else by, family))
        yield Gateway("" if address.is_unspecified else str(address), protocol)


def _raw(address: bytes, family: int) -> bytes:
    return address[:4] if family == socket.AF_INET else address
