"""TCP and UDP sockets as sock_diag lists them, with the kernel's TCP_INFO. Needs no privilege.

Layouts are those of include/uapi/linux/{inet_diag,tcp}.h.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from probes.kernel.netlink import socket as nlsocket
from probes.kernel.netlink.socket import attributes

_TCPDIAG_GETSOCK, _SOCK_DIAG_BY_FAMILY = 18, 20
INFO, _INET_DIAG_SKMEMINFO = 2, 7
# struct inet_diag_req_v2: family, protocol, ext, states, then a struct inet_diag_sockid
_REQUEST = Struct("=BBBxI48x")
# the same for one socket: ports in network order, addresses, interface, cookie
_ONE = Struct("=BBBxIHH16s16sIII")
# struct inet_diag_req: family and lengths (any), ext, a struct inet_diag_sockid, states, dbs
_BOTH = Struct("=3xB48xI4x")
# struct inet_diag_msg: family, state, ports, addresses, interface, cookie, uid, inode
_MESSAGE = Struct("=BBxxHH16s16sIII12xII")
# of the same message: SYNs that were repeated, and milliseconds until the next
_TIMER = Struct("=3xB48xI")
# struct tcp_info: rtt, rttvar, snd_cwnd, total_retrans, bytes_acked, bytes_received, segs_out,
# segs_in, min_rtt, data_segs_in, data_segs_out, and delivered
_INFO = Struct("=68xII4xI16xI16xQQII4xIII32xI")
_QUEUES = Struct(
    "=56xII"
)  # of the same message: of a listener, connections waiting, and how many may
_SK_MEMINFO_DROPS = 8  # in include/uapi/linux/sock_diag.h; Linux 4.12
_UNKNOWN = 0xFFFFFFFF
MAPPED = b"\0" * 10 + b"\xff\xff"
"""Prefix of an IPv4-mapped address."""


class TcpState(IntEnum):
    """enum in include/net/tcp_states.h."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12


def mask(*states: TcpState) -> int:
    """Return a set of states as `tcp_sockets` takes it."""
    return sum(1 << s for s in set(states))


ALL = mask(*TcpState)
SYNCHRONIZED = mask(
    TcpState.ESTABLISHED,
    TcpState.FIN_WAIT1,
    TcpState.FIN_WAIT2,
    TcpState.CLOSE_WAIT,
    TcpState.LAST_ACK,
    TcpState.CLOSING,
)
"""States of a connection that both ends know of (RFC 9293), until TIME_WAIT."""
OPEN = mask(TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)
CONNECTED = ALL & ~mask(TcpState.LISTEN, TcpState.CLOSE, TcpState.TIME_WAIT)


class TcpInfo(NamedTuple):
    """A socket's TCP_INFO. Round trips in microseconds, smoothed; totals since it was opened.

    min_rtt_us is None as long as there is no sample. What the kernel is too old to tell (bytes,
    segments, min_rtt: Linux 4.6, delivered: 4.18) is 0.
    """

    rtt_us: int
    rttvar_us: int
    snd_cwnd: int
    total_retrans: int
    bytes_acked: int
    bytes_received: int
    segs_out: int
    segs_in: int
    min_rtt_us: int | None
    data_segs_in: int
    data_segs_out: int
    delivered: int


class TcpSocket(NamedTuple):
    """A TCP socket. Addresses as text, IPv4-mapped ones as IPv4.

    inode: 0 where no process holds it any more, or not yet. cookie: that of
    bpf_get_socket_cookie(). info: None for sockets in TIME_WAIT and for connection requests.
    ifindex: of the interface that it is bound to, as one with a link-local address is; 0 for none.
    """

    state: int
    laddr: str
    lport: int
    raddr: str
    rport: int
    uid: int
    inode: int
    cookie: int
    info: TcpInfo | None
    ifindex: int


def tcp_sockets(states: int = ALL) -> list[TcpSocket]:
    """List the TCP sockets of this network namespace, IPv4 and IPv6, in these states (`mask`).

    Raises ProbeError. Linux 2.6.14 with CONFIG_INET_TCP_DIAG.
    """
    return nlsocket.dump(nlsocket.SOCK_DIAG, *tcp_request(states), _tcp_socket)


def tcp_request(states: int, *, info: bool = True) -> tuple[int, bytes]:
    """Return the type and body of the request for TCP sockets in these states.

    info: with their TCP_INFO. The older request gives both families in one walk through the
    kernel's table of sockets, which is large however few there are.
    """
    return _TCPDIAG_GETSOCK, _BOTH.pack(1 << (INFO - 1) if info else 0, states)


class Ends(NamedTuple):
    """The ends by which the kernel finds a socket of this network namespace. Addresses: 16 bytes.

    ifindex: of the interface it is bound to. IPv4 addresses are IPv4-mapped ones.
    """

    cookie: int
    laddr: bytes
    lport: int
    raddr: bytes
    rport: int
    ifindex: int


def found(sockets: Sequence[Ends]) -> list[TcpSocket | None]:
    """Look for these TCP sockets, one by one; None where one is not (or no longer) there.

    Raises ProbeError. Linux 3.3 with CONFIG_INET_TCP_DIAG.
    """
    bodies = list(map(_asking, sockets))
    return nlsocket.each(nlsocket.SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, bodies, _tcp_socket)


def _asking(s: Ends) -> bytes:
    four = s.laddr.startswith(MAPPED)
    laddr, raddr = (a[12:] if four else a for a in (s.laddr, s.raddr))
    return _ONE.pack(
        socket.AF_INET if four else socket.AF_INET6,
        socket.IPPROTO_TCP,
        1 << (INFO - 1),
        ALL,
        socket.htons(s.lport),
        socket.htons(s.rport),
        laddr,
        raddr,
        s.ifindex,
        s.cookie & _UNKNOWN,
        s.cookie >> 32,
    )


def udp_sockets(states: int = ALL) -> list[TcpSocket]:
    """List the UDP sockets alike: ESTABLISHED where connected, else CLOSE; without TCP_INFO.

    Raises ProbeError. Linux 3.3 with CONFIG_INET_UDP_DIAG.
    """
    return [
        found
        for family in (socket.AF_INET, socket.AF_INET6)
        for found in nlsocket.dump(
            nlsocket.SOCK_DIAG,
            _SOCK_DIAG_BY_FAMILY,
            _REQUEST.pack(family, socket.IPPROTO_UDP, 0, states),
            _tcp_socket,
        )
    ]


class Connecting(NamedTuple):
    """A socket in SYN_SENT, and for how long it has been there, in nanoseconds."""

    socket: TcpSocket
    age_ns: int


def connecting() -> list[Connecting]:
    """List the TCP sockets of this network namespace that wait for an answer to their SYN.

    Raises ProbeError. Linux 2.6.14 with CONFIG_INET_TCP_DIAG.
    """
    linear = _linear_timeouts()

    def waits(data: bytes, start: int, end: int) -> Connecting:
        repeated, expires = _TIMER.unpack_from(data, start)
        age = max(waited_ms(repeated, linear) - expires, 0)
        return Connecting(_tcp_socket(data, start, end), age * 1_000_000)

    request = tcp_request(mask(TcpState.SYN_SENT))
    return nlsocket.dump(nlsocket.SOCK_DIAG, *request, waits)


def waited_ms(repeated: int, linear: int) -> int:
    """Return when the timer of a SYN that was repeated so often ends, in ms since the first.

    It begins with a second, and doubles from one SYN to the next after the first `linear` ones.
    """
    return sum([min(1000 << max(n - linear, 0), 120_000) for n in range(min(repeated, 255) + 1)])


def _linear_timeouts() -> int:
    """Return net.ipv4.tcp_syn_linear_timeouts, which came with Linux 6.5; before, there were 0."""
    try:
        return int(Path("/proc/sys/net/ipv4/tcp_syn_linear_timeouts").read_text())
    except (OSError, ValueError):
        return 0


class Receiver(NamedTuple):
    """A listening TCP socket, or a UDP socket, and its drops since it was opened.

    drops: sk_drops; of a listener, requests that it did not take and segments that made no sense,
    of a UDP socket, datagrams. waiting, room: connections that nobody has accepted yet, and how
    many may wait (one more than `room` does); 0 for UDP.
    """

    family: int
    port: int
    inode: int
    cookie: int
    drops: int
    waiting: int
    room: int

    @property
    def full(self) -> bool:
        return self.waiting > self.room


def listeners() -> list[Receiver]:
    """List every listening TCP socket of this network namespace.

    Raises ProbeError. Drops are counted from Linux 4.12 on, with CONFIG_INET_TCP_DIAG; before, they
    are 0.
    """
    # Both families in one walk, as in `tcp_sockets`.
    request = _BOTH.pack(1 << (_INET_DIAG_SKMEMINFO - 1), mask(TcpState.LISTEN))
    return nlsocket.dump(nlsocket.SOCK_DIAG, _TCPDIAG_GETSOCK, request, _receiver)


def udp_receivers() -> list[Receiver]:
    """List every UDP socket of this network namespace. Raises ProbeError. CONFIG_INET_UDP_DIAG."""
    wanted = 1 << (_INET_DIAG_SKMEMINFO - 1)
    return [
        found
        for family in (socket.AF_INET, socket.AF_INET6)
        for found in nlsocket.dump(
            nlsocket.SOCK_DIAG,
            _SOCK_DIAG_BY_FAMILY,
            _REQUEST.pack(family, socket.IPPROTO_UDP, wanted, ALL),
            _receiver,
        )
    ]


def _receiver(data: bytes, start: int, end: int) -> Receiver:
    family, state, port, _, _, _, _, low, high, _, inode = _MESSAGE.unpack_from(data, start)
    drops = 0
    for attribute, at, to in attributes(data, start + _MESSAGE.size, end):
        place = at + 4 * _SK_MEMINFO_DROPS
        if attribute == _INET_DIAG_SKMEMINFO and place + 4 <= to:
            drops = int.from_bytes(data[place : place + 4], sys.byteorder)
    queues = _QUEUES.unpack_from(data, start) if state == TcpState.LISTEN else (0, 0)
    return Receiver(family, socket.ntohs(port), inode, high << 32 | low, drops, *queues)


_UNIX_REQUEST = Struct("=BBHIIIII")  # struct unix_diag_req
_UNIX_MESSAGE = Struct("=BBBxI8x")  # struct unix_diag_msg
_UDIAG_SHOW_PEER, _UNIX_DIAG_PEER = 0x4, 2


def unix_peers() -> dict[int, int]:
    """Map each connected UNIX socket of this network namespace to its peer, by inode.

    Raises ProbeError. Linux 3.3 with CONFIG_UNIX_DIAG.
    """
    request = _UNIX_REQUEST.pack(socket.AF_UNIX, 0, 0, ALL, 0, _UDIAG_SHOW_PEER, 0, 0)
    return dict(nlsocket.dump(nlsocket.SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, request, _unix_peer))


def _unix_peer(data: bytes, start: int, end: int) -> tuple[int, int] | None:
    inode = _UNIX_MESSAGE.unpack_from(data, start)[3]
    for attribute, at, to in attributes(data, start + _UNIX_MESSAGE.size, end):
        if attribute == _UNIX_DIAG_PEER:
            return inode, int.from_bytes(data[at:to], sys.byteorder)
    return None


def _tcp_socket(data: bytes, start: int, end: int) -> TcpSocket:
    family, state, lport, rport, laddr, raddr, ifindex, low, high, uid, inode = (
        _MESSAGE.unpack_from(data, start)
    )
    info = None
    for attribute, at, to in attributes(data, start + _MESSAGE.size, end):
        if attribute == INFO:
            info = tcp_info(data[at:to])
    return TcpSocket(
        state,
        address(family, laddr),
        socket.ntohs(lport),
        address(family, raddr),
        socket.ntohs(rport),
        uid,
        inode,
        high << 32 | low,
        info,
        ifindex,
    )


def tcp_info(data: bytes) -> TcpInfo:
    """Decode a struct tcp_info of any length; members beyond its end are 0 or None."""
    short = len(data) < _INFO.size
    info = TcpInfo._make(_INFO.unpack_from(data.ljust(_INFO.size, b"\0") if short else data))
    if info.min_rtt_us in (0, _UNKNOWN):
        return info._replace(min_rtt_us=None)
    return info


def address(family: int, raw: bytes) -> str:
    """Return an address of 16 bytes as text, an IPv4-mapped one as IPv4."""
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[:4])
    if raw.startswith(MAPPED):
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)
