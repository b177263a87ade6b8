"""Socket filters on packet sockets."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from probes.attach.handle import Handle
from probes.attach.refusals import attach_refused
from probes.kernel import privilege
from probes.point import Loading, Point, ProgType

_SO_ATTACH_BPF, _ETH_P_ALL = 50, 3  # include/uapi/{asm-generic/socket,linux/if_ether}.h


@dataclass(frozen=True, slots=True)
class PacketSocket(Point):
    """A socket filter on a raw packet socket of ours on the target interface. Linux 3.19.

    It is shown what passes and takes nothing (it keeps 0 bytes); before TC, behind XDP.
    """

    needs = privilege.BPF, privilege.NET_RAW

    def loading(self) -> Loading:
        return Loading(ProgType.SOCKET_FILTER)

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        """Attach it before the socket sees anything: the socket has no protocol until then."""
        try:
            held = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except OSError as refused:
            raise attach_refused(refused.errno or 0, "packet socket", self, ifindex) from None
        try:
            held.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, prog_fd)
            if ifindex:
                held.bind((socket.if_indextoname(ifindex), _ETH_P_ALL))
        except OSError as refused:
            held.close()
            raise attach_refused(refused.errno or 0, "packet socket", self, ifindex) from None
        return Handle(held.close)
