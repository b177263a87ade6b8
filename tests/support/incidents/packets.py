"""Packets of hosts that are not on this machine: they come by a tun device and get no answer."""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Iterator

from tests.support.incidents import relay, traffic
from tests.support.incidents.stage import Actor
from tests.support.namespaces import run
from tests.support.out_of_order import SYN, checksum


def syn(source: str, to: str, ports: tuple[int, int], sequence: int) -> bytes:
    """A request for a connection."""
    ends = socket.inet_aton(source) + socket.inet_aton(to)
    tcp = struct.pack("!HHIIBBHHH", *ports, sequence, 0, 5 << 4, SYN, 1000, 0, 0)
    total = checksum(ends + struct.pack("!HH", 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", total) + tcp[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp


def arrive(device: str, network: str, packets: Iterator[bytes], per_second: float) -> Actor:
    """They come by this device, which this makes; what is sent to the network leaves by it."""

    def act() -> Iterator[None]:
        fd = relay.tun(device)
        relay.up(device)
        run("ip", "route", "add", network, "dev", device)
        yield
        burst = max(int(per_second / 50), 1)
        for _ in traffic.pace(per_second / burst):
            for packet, _ in zip(packets, range(burst), strict=False):
                os.write(fd, packet)
            while select.select([fd], [], [], 0)[0]:
                os.read(fd, 65536)

    return act
