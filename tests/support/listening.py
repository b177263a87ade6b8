"""Sockets that are full, and what the kernel counts meanwhile; in a namespace of one's own."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from probes.kernel import procfs
from tests.support import out_of_order
from tests.support.namespaces import run, veth
from tests.support.out_of_order import checksum

HOST = "127.0.0.1"


@contextmanager
def listening(
    port: int, backlog: int = 0, host: str = HOST, room: int = 0
) -> Iterator[socket.socket]:
    """Somebody who never accepts. room: in the receive buffer; 0: what the kernel gives."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if room:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        s.bind((host, port))
        s.listen(backlog)
        yield s


@contextmanager
def connecting(port: int, number: int, host: str = HOST) -> Iterator[None]:
    """So many who try to connect, and are still trying."""
    with ExitStack() as stack:
        for _ in range(number):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            s = stack.enter_context(socket.socket(family))
            s.setblocking(False)
            s.connect_ex((host, port))
        yield


def cookies(how: int) -> None:
    """0: no SYN cookies; 1: where a queue is full; 2: always."""
    Path("/proc/sys/net/ipv4/tcp_syncookies").write_text(str(how))


@contextmanager
def full_buffer(port: int, number: int) -> Iterator[None]:
    """More than a socket's buffer takes; it stays open."""
    with socket.socket(type=socket.SOCK_DGRAM) as to, socket.socket(type=socket.SOCK_DGRAM) as out:
        to.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        to.bind((HOST, port))
        for _ in range(number):
            out.sendto(b"x" * 500, (HOST, port))
        yield


MINE, THEIRS = "192.0.2.1", "192.0.2.2"
_MAC, _NOBODY = "02:00:00:00:00:01", "02:00:00:00:00:99"
_SYN, _ACK = 0x02, 0x10


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


class Peer:
    """A host beside whose segments go out as they are told: it never answers by itself."""

    def __init__(self) -> None:
        veth()
        run("ip", "link", "set", "v0", "address", _MAC)
        run("ip", "addr", "add", f"{MINE}/24", "dev", "v0")
        run("ip", "neigh", "add", THEIRS, "lladdr", _NOBODY, "dev", "v0")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self._socket.bind(("v1", 0x0800))
        self._socket.settimeout(0.3)
        self._next = 20000

    def close(self) -> None:
        self._socket.close()

    def syn(self, port: int, number: int) -> list[tuple[int, int]]:
        """Asks for so many connections; the port and the number of each that is answered."""
        ports = range(self._next, self._next + number)
        self._next += number
        for mine in ports:
            self._send(mine, port, 1000, 0, _SYN)
        return [(mine, seq) for mine, seq in self._answers(port) if mine in ports]

    def ack(self, port: int, answers: Iterable[tuple[int, int]]) -> None:
        """Completes these connections."""
        for mine, seq in answers:
            self._send(mine, port, 1001, (seq + 1) % 2**32, _ACK)

    def disorder(self, port: int, segments: int) -> None:
        """Connects, and sends so many segments with gaps between, the last first."""
        out_of_order.main("v1", _NOBODY, _MAC, THEIRS, MINE, str(port), str(segments))

    def _send(self, mine: int, port: int, seq: int, ack: int, flags: int) -> None:
        ends = socket.inet_aton(THEIRS) + socket.inet_aton(MINE)
        tcp = struct.pack("!HHIIBBHHH", mine, port, seq, ack, 5 << 4, flags, 1000, 0, 0)
        total = checksum(ends + struct.pack("!HH", 6, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack("!H", total) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + ends
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        self._socket.send(_bytes(_MAC) + _bytes(_NOBODY) + b"\x08\0" + ip + tcp)

    def _answers(self, port: int) -> Iterator[tuple[int, int]]:
        seen = set()
        with suppress(TimeoutError):
            while True:
                frame = self._socket.recv(2000)[14:]
                source, mine, seq, _, _, flags = struct.unpack_from("!HHIIBB", frame, 20)
                if frame[9] == 6 and source == port and flags == _SYN | _ACK and mine not in seen:
                    seen.add(mine)
                    yield mine, seq


def settled() -> dict[str, int]:
    """nstat's counters once they stand still for a while."""
    before = procfs.net_counters()
    for _ in range(100):
        time.sleep(0.15)
        now = procfs.net_counters()
        if now == before:
            return now
        before = now
    raise AssertionError("the counters do not stand still")


def increase(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """What was added to each counter, without those that stand."""
    return {n: v - before.get(n, 0) for n, v in now.items() if v != before.get(n, 0)}
