"""Socket filters on packet sockets."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

from probes.attach.handle import Handle
from probes.attach.refusals import attach_refused
from probes.kernel import capabilities
from probes.point import Loading, Point, ProgType

_SIOCGIFNAME, _IFREQ = 0x8910, Struct("=16si20x")  # struct ifreq: name, index
_SO_ATTACH_BPF, _ETH_P_ALL = 50, 3  # include/uapi/{asm-generic/socket,linux/if_ether}.h


@dataclass(frozen=True, slots=True)
class PacketSocket(Point):
    """A socket filter on a raw packet socket of ours on the target interface. Linux 3.19.

    It is shown what passes and takes nothing (it keeps 0 bytes); before TC, behind XDP.
    """

    needs = capabilities.BPF, capabilities.NET_RAW

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
                held.bind((_name(held, ifindex), _ETH_P_ALL))
        except OSError as refused:
            held.close()
            raise attach_refused(refused.errno or 0, "packet socket", self, ifindex) from None
        return Handle(held.close)


def _name(asking: socket.socket, ifindex: int) -> str:
    """Return an interface's name. if_indextoname() would open another socket, or fail wrongly."""
    answer = fcntl.ioctl(asking, _SIOCGIFNAME, _IFREQ.pack(b"", ifindex))
    return os.fsdecode(_IFREQ.unpack(answer)[0].split(b"\0")[0])
