"""A TCP peer whose segments come out of order, by raw frames, so that the receiver prunes them.

    python -m tests.support.out_of_order INTERFACE FROM_MAC TO_MAC FROM TO PORT SEGMENTS

It shakes hands from an address that nobody has, and sends one byte in two, the last first.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
import time

SYN, RST, ACK = 2, 4, 16
_IPV4 = b"\x08\0"


def checksum(data: bytes) -> int:
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Peer:
    """One end of a connection. macs: its own and the other's."""

    def __init__(self, interface: str, macs: tuple[str, str], ends: tuple[str, str], port: int):
        mine, theirs = (bytes.fromhex(mac.replace(":", "")) for mac in macs)
        self._link = theirs + mine + _IPV4
        self._from, self._to = (socket.inet_aton(end) for end in ends)
        self._ports = struct.pack("!HH", random.randint(20000, 60000), port)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self._socket.bind((interface, 0x0800))
        self._socket.settimeout(5)

    def send(self, sequence: int, flags: int, data: bytes = b"", acknowledged: int = 0) -> None:
        head = self._ports + struct.pack("!IIBBH", sequence, acknowledged, 5 << 4, flags, 8192)
        length = len(head) + 4 + len(data)
        pseudo = self._from + self._to + struct.pack("!BBH", 0, 6, length)
        check = checksum(pseudo + head + bytes(4) + data)
        about = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 6, 0)
        ip = about[:10] + struct.pack("!H", checksum(about + self._from + self._to))
        segment = head + struct.pack("!HH", check, 0) + data
        self._socket.send(self._link + ip + self._from + self._to + segment)

    def shake_hands(self) -> int:
        """The other's first sequence number."""
        self.send(1000, SYN)
        while True:
            frame = self._socket.recv(2000)
            if frame[30:34] == self._from and frame[23] == 6 and frame[47] & (SYN | ACK):
                (theirs,) = struct.unpack_from("!I", frame, 38)
                self.send(1001, ACK, acknowledged=theirs + 1)
                return int(theirs)


def main(interface: str, mine: str, theirs: str, here: str, there: str, port: str, n: str) -> None:
    peer = Peer(interface, (mine, theirs), (here, there), int(port))
    begun = peer.shake_hands() + 1
    time.sleep(0.1)
    for place in range(2 * int(n) - 1, 0, -2):
        peer.send(1001 + place, ACK | 8, b"z", begun)
        time.sleep(0.0002)
    peer.send(1001, RST)


if __name__ == "__main__":
    main(*sys.argv[1:])
