"""Many TCP sockets as an array: what `sock_diag` tells one by one."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.kernel.netlink import sock_diag
from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.message_runs import Run, bodies, runs
from probes.kernel.netlink.sock_diag import TcpSocket

if TYPE_CHECKING:
    from numpy.typing import NDArray

# struct inet_diag_msg: places and types
_BODY = 72
_NUMBERS = {"ifindex": (40, "=u4"), "inode": (68, "=u4")}
_PORTS = {"lport": (4, ">u2"), "rport": (6, ">u2")}
_ADDRESSES = {"laddr": 8, "raddr": 24}
_COOKIE = (44, 48)
# struct tcp_info
_INFO = {"srtt_us": 68, "retransmits": 100, "min_us": 148, "sent": 156}
SOCKETS = [
    *[(name, "u1", (16,)) for name in _ADDRESSES],
    *[(name, "=u4") for name in (*_PORTS, *_NUMBERS, *_INFO)],
    ("cookie", "=u8"),
]
"""A socket: addresses of 16 bytes, IPv4 ones mapped; what the kernel does not tell is 0."""

FLOWS = [
    *[(name, "u1", (16,)) for name in _ADDRESSES],
    *[(name, "=u4") for name in (*_PORTS, *_NUMBERS)],
    ("state", "u1"),
]
"""A socket's ends, addresses as in `SOCKETS`, and its state."""


def tcp_flows(states: int) -> NDArray[np.void]:
    """Return the TCP sockets in these states (`mask`), connection requests too, as `FLOWS`.

    Raises ProbeError. Linux 2.6.14 with CONFIG_INET_TCP_DIAG.
    """
    data = nlsocket.dumped(nlsocket.SOCK_DIAG, *sock_diag.tcp_request(states, info=False))
    octets = bodies(data, _BODY)
    if octets is None:
        return _told_one_by_one(sock_diag.tcp_sockets(states))
    made = np.zeros(len(octets), FLOWS)
    for name, (offset, kind) in (_NUMBERS | _PORTS).items():
        width = np.dtype(kind).itemsize
        made[name] = np.ascontiguousarray(octets[:, offset : offset + width]).view(kind)[:, 0]
    made["state"] = octets[:, 1]
    for name, offset in _ADDRESSES.items():
        four = octets[:, 0] == socket.AF_INET
        made[name] = _addresses(octets[:, offset : offset + 16], four)
    return made


def _told_one_by_one(sockets: Sequence[TcpSocket]) -> NDArray[np.void]:
    made = np.zeros(len(sockets), FLOWS)
    for at, s in enumerate(sockets):
        ends = [np.frombuffer(_raw(address), "u1") for address in (s.laddr, s.raddr)]
        made[at] = (*ends, s.lport, s.rport, s.ifindex, s.inode, s.state)
    return made


def _raw(address: str) -> bytes:
    if ":" in address:
        return socket.inet_pton(socket.AF_INET6, address)
    return sock_diag.MAPPED + socket.inet_aton(address)


def tcp_table(states: int) -> NDArray[np.void] | None:
    """Return the TCP sockets that have a TCP_INFO, in these states (`mask`), as `SOCKETS`.

    None where they have to be asked for one by one (`tcp_sockets`). Raises ProbeError.
    """
    found = runs(nlsocket.dumped(nlsocket.SOCK_DIAG, *sock_diag.tcp_request(states)))
    if found is None:
        return None
    parts = [_sockets(run) for run in found[:-1]]
    if any(part is None for part in parts):
        return None
    return np.concatenate([np.zeros(0, SOCKETS), *[p for p in parts if p is not None]])


def _sockets(run: Run) -> NDArray[np.void] | None:
    places = run.places(_BODY)
    if places is None:
        return None
    number = len(run.octets)
    if sock_diag.INFO not in places:
        return np.zeros(0, SOCKETS)
    made = np.zeros(number, SOCKETS)
    for name, (offset, kind) in (_NUMBERS | _PORTS).items():
        made[name] = run.field(offset, kind)
    low, high = (run.field(offset, "=u4").astype("u8") for offset in _COOKIE)
    made["cookie"] = high << np.uint64(32) | low
    begin, end = places[sock_diag.INFO]
    for name, offset in _INFO.items():
        if begin + offset + 4 <= end:
            made[name] = run.field(begin + offset, "=u4")
    four = run.part(0, 1)[:, 0] == socket.AF_INET
    for name, offset in _ADDRESSES.items():
        made[name] = _addresses(run.part(offset, 16), four)
    return made


def _addresses(raw: NDArray[np.uint8], four: NDArray[Any]) -> NDArray[np.uint8]:
    made = raw.copy()
    mapped = np.frombuffer(sock_diag.MAPPED, "u1")
    made[four, :12], made[four, 12:] = mapped, raw[four, :4]
    return made
