"""The TCP connections that are open now, by a BPF iterator where there are many, else by sock_diag.

The kernel writes 80 bytes for each into a buffer, where sock_diag makes a message of 400; but it
takes ten times as long for a table of sockets that is empty. Linux 5.12, where the program of an
iterator may ask for a socket's cookie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import NamedTuple

from probes.attach import iterator
from probes.kernel.netlink import sock_diag
from probes.model import Opening, Program
from probes.toolkit import decode
from probes.toolkit.links import scoped_here
from probes.toolkit.sockets_c import OF_SOCK, OF_SOCK_TYPES

MANY = 400
"""Connections from which on the iterator is the faster one."""
_NO_SAMPLE = 2**32 - 1
"""What the kernel's minimum holds before the first."""

TYPES = (*OF_SOCK_TYPES, "socket", "socket_alloc", "inode")
PROGRAM = Program(
    "iterated",
    iterator.Iterator("tcp"),
    optional=True,
    without="connections that were open before come from sock_diag, however many they are",
)
# The context is a struct bpf_iter__tcp: what the iteration is about, the socket, its user. The
# first begins with the file; kernels before 5.8 have no type of it.
SOURCE = (
    OF_SOCK
    + f"""
struct iteration {{ void *file; }};
struct iterated {{
    u8 laddr[24], raddr[24];
    u32 lport, rport, srtt_us, min_us, retransmits, unused;
    u64 cookie, inode;
}};

int iterated(u64 *ctx) {{
    void *file = ARG(ctx, 0, struct iteration *)->file;
    struct sock_common *common = ARG(ctx, 1, struct sock_common *);
    struct tcp_sock *tcp = common ? (void *)bpf_skc_to_tcp_sock((void *)common) : 0;
    struct iterated now = {{}};
    struct sock *sk = (struct sock *)tcp;
    struct socket *socket;
    if (!tcp || !(1 << common->skc_state & {sock_diag.SYNCHRONIZED}))
        return 0;
    ends_of_sock(sk, now.laddr, now.raddr, &now.lport, &now.rport);
    now.srtt_us = tcp->srtt_us >> 3;
    now.min_us = tcp->rtt_min.s[0].v;
    now.retransmits = tcp->total_retrans;
    now.cookie = SOCKET_COOKIE(sk);
    socket = sk->sk_socket;
    if (socket)
        now.inode = PROBE(((struct socket_alloc *)socket)->vfs_inode.i_ino);
    ((long (*)(void *, void *, u32))BPF_FUNC_seq_write)(file, &now, sizeof(now));
    return 0;
}}
"""
)
_ITERATED = Struct("=24s24sIIIII4xQQ")


class OpenSocket(NamedTuple):
    """A connection. Round trips in microseconds, smoothed and the windowed minimum (None: no sample
    yet); segments sent again since it was opened. inode: 0 where no process holds it."""

    cookie: int
    laddr: str
    lport: int
    raddr: str
    rport: int
    srtt_us: int
    min_us: int | None
    retransmits: int
    inode: int


def minimum(us: object) -> int | None:
    return us if isinstance(us, int) and us not in (0, _NO_SAMPLE) else None


class OpenSockets:
    """What is open, again and again. origin: who told it the latest time."""

    def __init__(self, opening: Opening) -> None:
        self._iterate: Callable[[], bytes] | None = opening.iterators.get(PROGRAM.function)
        self._many = False
        self.origin = "sock_diag"

    def read(self) -> list[OpenSocket]:
        """Raises ProbeError, OSError."""
        iterate = self._iterate if self._many else None
        self.origin = "sock_diag" if iterate is None else "iterator"
        found = list(_told() if iterate is None else _iterated(iterate()))
        self._many = len(found) >= MANY
        return found


def _iterated(data: bytes) -> Iterator[OpenSocket]:
    for laddr, raddr, lport, rport, *numbers, cookie, inode in _ITERATED.iter_unpack(data):
        srtt, least, again = numbers
        yield OpenSocket(
            cookie,
            decode.address(laddr),
            lport,
            decode.address(raddr),
            rport,
            srtt,
            minimum(least),
            again,
            inode,
        )


def _told() -> Iterator[OpenSocket]:
    for s in sock_diag.tcp_sockets(sock_diag.SYNCHRONIZED):
        if (i := s.info) is not None:
            yield OpenSocket(
                s.cookie, scoped_here(s.laddr, s.ifindex), s.lport,
                scoped_here(s.raddr, s.ifindex), s.rport,
                i.rtt_us, i.min_rtt_us, i.total_retrans, s.inode,
            )  # fmt: skip
