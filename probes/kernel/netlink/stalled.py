"""TCP connections of which one end does not read, as sock_diag shows them. Needs no privilege.

A peer that does not read has closed its receive window: the kernel probes it, by a timer of its
own. A process here that does not read has a receive buffer that stays full. Layouts are those of
include/uapi/linux/{inet_diag,tcp,sock_diag}.h.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Collection, Sequence
from enum import StrEnum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from probes.arrays import FEW, np
from probes.kernel import procfs
from probes.kernel.netlink import sock_diag
from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.message_runs import bodies
from probes.kernel.netlink.sock_diag import TcpState
from probes.kernel.netlink.socket import attributes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BY_FAMILY, _MEMINFO = 20, 7
_STATES = sock_diag.mask(
    TcpState.ESTABLISHED, TcpState.CLOSE_WAIT, TcpState.FIN_WAIT1, TcpState.CLOSING,
    TcpState.LAST_ACK,
)  # fmt: skip
_OPEN = (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)
_MESSAGE = Struct("=BBBBHH16s16sIII4xIIII")
"""struct inet_diag_msg: family, state, timer, retrans; ports, addresses, interface, cookie;
behind the time of the timer: rqueue, wqueue, uid, inode."""
_REQUEST = sock_diag.tcp_request(_STATES, info=False)
_BODY, _STATE, _TIMER = 72, 1, 2
_QUEUES = Struct("=56xII")
"""Of the same: bytes that were not read, and that were not acknowledged."""
_PROBES = 4
"""The timer of zero window probes."""
_IDLE = Struct("=20xI20xI4xI")
"""Of struct tcp_info: rcv_mss, and milliseconds since data were sent, and received."""
_BUFFER = Struct("=II")
"""Of the socket's memory: taken for what was received, and what that may take."""
LEAST, FULL, HALF, MOST = 4096, 0.75, 0.4, 256
"""Bytes that wait from which a buffer may be full; the share of it that is taken then, and where
segments are as large; sockets."""


class SilentEnd(StrEnum):
    """The end that does not read."""

    PROCESS = "process"
    PEER = "peer"


class Stalled(NamedTuple):
    """A connection that does not move. Addresses as text, IPv4-mapped ones as IPv4.

    reader: who does not read. queued: bytes that wait here, to be read or to be sent. probes: of
    the closed window, without an answer that opens it. idle_ms: since data were sent or received.
    alike: open connections of the same service, this one among them: at the same port here, or,
    where this end has called, to the same address and port.
    """

    cookie: int
    reader: SilentEnd
    laddr: str
    lport: int
    raddr: str
    rport: int
    ifindex: int
    inode: int
    queued: int
    probes: int
    idle_ms: int
    alike: int


def stalled(served: Collection[int]) -> list[Stalled]:
    """List those of this network namespace, at most `MOST`, those with most bytes first.

    served: ports at which somebody listens here. Raises ProbeError. Linux 2.6.14 with
    CONFIG_INET_TCP_DIAG; receive buffers Linux 4.12.
    """
    many = procfs.tcp_sockets_in_use() > FEW
    suspects, alike = (_of_many if many else _of_few)(served)
    told = nlsocket.each(nlsocket.SOCK_DIAG, _BY_FAMILY, list(map(_asking, suspects)), _decoded)
    return [
        one._replace(alike=max(number, 1))
        for number, one in zip(alike, told, strict=True)
        if one is not None
    ]


_Suspects = tuple[Sequence[bytes], Sequence[int]]
"""Messages of sockets that may be stalled, those with most bytes first, and how many open
connections are of the service of each."""


def _of_few(served: Collection[int]) -> _Suspects:
    messages = nlsocket.dump(nlsocket.SOCK_DIAG, *_REQUEST, lambda d, s, _: d[s : s + _BODY])
    alike = Counter(_service(m, served) for m in messages if m[_STATE] in _OPEN)
    suspects = [m for m in messages if _waits(m)]
    suspects = sorted(suspects, key=lambda m: max(_QUEUES.unpack_from(m)), reverse=True)[:MOST]
    return suspects, [alike[_service(m, served)] for m in suspects]


def _waits(message: bytes) -> bool:
    unread, unsent = _QUEUES.unpack_from(message)
    return bool(unread >= LEAST or (message[_TIMER] == _PROBES and unsent))


def _service(message: bytes, served: Collection[int]) -> bytes:
    """Return the port of who is served here; of others the address and port of the peer."""
    here = int.from_bytes(message[4:6], "big") in served
    return message[4:6] if here else message[6:8] + message[24:40]


def _of_many(served: Collection[int]) -> _Suspects:
    octets = bodies(nlsocket.dumped(nlsocket.SOCK_DIAG, *_REQUEST), _BODY)
    if octets is None or not len(octets):
        return _of_few(served)
    unread, unsent = (_field(octets, offset, "=u4") for offset in (56, 60))
    probed = (octets[:, _TIMER] == _PROBES) & (unsent > 0)
    found = np.flatnonzero(probed | (unread >= LEAST))
    order = np.argsort(-np.maximum(unread, unsent)[found], kind="stable")
    places = found[order][:MOST].tolist()
    messages = [octets[place].tobytes() for place in places]
    numbers = _alike(octets, served)
    return messages, [int(numbers[place]) for place in places]


def _field(octets: NDArray[np.uint8], offset: int, kind: str) -> NDArray[np.int64]:
    width = np.dtype(kind).itemsize
    found = np.ascontiguousarray(octets[:, offset : offset + width]).view(kind)[:, 0]
    return found.astype("i8")


def _alike(octets: NDArray[np.uint8], served: Collection[int]) -> NDArray[np.intp]:
    """Return how many open connections are of the same service as each."""
    here = np.isin(_field(octets, 4, ">u2"), np.array(sorted(served), "i8"))
    key = octets[:, 4:40].copy()
    key[here, 2:] = 0  # its port alone
    key[~here, :2] = key[~here, 4:20] = 0  # the peer's address and port
    _, of = np.unique(np.ascontiguousarray(key).view("V36")[:, 0], return_inverse=True)
    of = of.reshape(-1)
    open = np.isin(octets[:, _STATE], np.array(_OPEN, "u1"))
    return np.bincount(of, open, of.max() + 1)[of].astype(np.intp)


def _asking(message: bytes) -> bytes:
    """Return the request for one socket: its memory and its TCP_INFO."""
    extensions = 1 << (_MEMINFO - 1) | 1 << (sock_diag.INFO - 1)
    head = Struct("=BBBxI").pack(message[0], socket.IPPROTO_TCP, extensions, sock_diag.ALL)
    return head + message[4:52]  # a struct inet_diag_sockid


def _decoded(data: bytes, start: int, end: int) -> Stalled | None:
    """Return the socket if it is stalled."""
    family, state, timer, probes, lport, rport, laddr, raddr, index, low, high, *rest = (
        _MESSAGE.unpack_from(data, start)
    )
    waits, unsent, _, inode = rest
    mss = sent = received = taken = room = 0
    for attribute, at, to in attributes(data, start + _BODY, end):
        if attribute == sock_diag.INFO and to - at >= _IDLE.size:
            mss, sent, received = _IDLE.unpack_from(data, at)
        elif attribute == _MEMINFO and to - at >= _BUFFER.size:
            taken, room = _BUFFER.unpack_from(data, at)
    if timer == _PROBES and unsent:
        reader, queued, idle = SilentEnd.PEER, unsent, sent
    elif waits >= LEAST and state in _OPEN and _is_full(taken, room, mss):
        reader, queued, idle, probes = SilentEnd.PROCESS, waits, received, 0
    else:
        return None
    ends = sock_diag.address(family, laddr), socket.ntohs(lport)
    peer = sock_diag.address(family, raddr), socket.ntohs(rport)
    cookie = high << 32 | low
    return Stalled(cookie, reader, *ends, *peer, index, inode, queued, probes, idle, 1)


def _is_full(taken: int, room: int, mss: int) -> bool:
    """Return whether a buffer leaves no window: the kernel offers none of less than a segment.

    A segment of the loopback is half of a buffer, and until Linux 6.6 so is its overhead.
    """
    return bool(room) and (
        taken >= FULL * room or (taken >= HALF * room and room - taken < 2 * mss)
    )
