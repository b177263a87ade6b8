"""TCP connections that are open now, by a BPF iterator if there are many, else by sock_diag.

The kernel writes 80 bytes for each into a buffer, where sock_diag makes a message of 400; but an
iterator takes ten times as long over an empty table of sockets. Linux 5.12, where the program of an
iterator may ask for a socket's cookie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.arrays import np
from probes.attach import iterator
from probes.columns.cells import Cells, NumberCells
from probes.kernel import procfs
from probes.kernel.netlink import sock_diag
from probes.kernel.netlink.sock_table import tcp_table
from probes.model import Opening, Program
from probes.toolkit import decode
from probes.toolkit.c_files import c_source
from probes.toolkit.links import scoped_here
from probes.toolkit.sockets_c import OF_SOCK, OF_SOCK_TYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOCK_DIAG, ITERATOR = "sock_diag", "iterator"
MANY = 400
"""Connections from which on the iterator is faster."""
_NO_SAMPLE = 2**32 - 1
"""The kernel's minimum before the first sample."""

TYPES = (*OF_SOCK_TYPES, "socket", "socket_alloc", "inode")
PROGRAM = Program(
    "iterated",
    iterator.Iterator("tcp"),
    optional=True,
    without=(
        "connections that were open before always come from sock_diag, which is slow if there "
        "are many"
    ),
)
SOURCE = OF_SOCK + c_source(__file__, "open_sockets.c", SYNCHRONIZED=sock_diag.SYNCHRONIZED)
_ITERATED = Struct("=24s24sIIIIIIQQ")
MEMBERS_TOLD = ("lport", "rport", "srtt_us", "min_us", "retransmits", "sent")
MEMBERS = (
    *[(end, "u1", (24,)) for end in ("laddr", "raddr")],
    *[(name, "=u4") for name in MEMBERS_TOLD],
    *[(name, "=u8") for name in ("cookie", "inode")],
)


class OpenSocket(NamedTuple):
    """A connection.

    Round trips in microseconds, smoothed and the windowed minimum (None: no sample yet); segments
    retransmitted since it was opened, and data segments sent, those among them. inode: 0 where no
    process holds it.
    """

    cookie: int
    laddr: str
    lport: int
    raddr: str
    rport: int
    srtt_us: int
    min_us: int | None
    retransmits: int
    sent: int
    inode: int


def _minima(us: NDArray[Any]) -> Cells:
    return NumberCells(us, (us != 0) & (us != _NO_SAMPLE))


@decode.many(_minima)
def minimum(us: object) -> int | None:
    return us if isinstance(us, int) and us not in (0, _NO_SAMPLE) else None


class OpenSockets:
    """Open connections, read again and again.

    origin: the source of the latest reading. many: what it told, as an array; None: the connections
    are few, or were asked for one by one.
    """

    def __init__(self, opening: Opening) -> None:
        self._iterate: Callable[[], bytes] | None = opening.iterators.get(PROGRAM.function)
        self._many = procfs.tcp_sockets_in_use() >= MANY  # the first reading is of all there are
        self._data = b""
        self._told: list[OpenSocket] | None = []
        self._table: NDArray[np.void] | None = None
        self.origin = SOCK_DIAG

    def read(self) -> None:
        """Read the open connections. Raises ProbeError, OSError."""
        iterate = self._iterate if self._many else None
        self.origin = SOCK_DIAG if iterate is None else ITERATOR
        self._data = b"" if iterate is None else iterate()
        self._told, self._table = [], None
        if iterate is not None:
            number = len(self._data) // _ITERATED.size
        elif self._many and (table := _table()) is not None:
            self._told, self._table, number = None, table, len(table)
        else:
            self._told = list(_told())
            number = len(self._told)
        self._many = number >= MANY

    @property
    def many(self) -> NDArray[np.void] | None:
        if not self._many:
            return None
        return np.frombuffer(self._data, list(MEMBERS)) if self._data else self._table

    def all(self) -> list[OpenSocket]:
        """Return the connections of the latest reading."""
        if self._told is None and self._table is not None:
            self._told = list(_iterated(self._table.tobytes()))
        return list(_iterated(self._data)) if self._data else self._told or []


def _iterated(data: bytes) -> Iterator[OpenSocket]:
    for laddr, raddr, lport, rport, *numbers, cookie, inode in _ITERATED.iter_unpack(data):
        srtt, least, again, sent = numbers
        yield OpenSocket(
            cookie,
            decode.address(laddr),
            lport,
            decode.address(raddr),
            rport,
            srtt,
            minimum(least),
            again,
            sent,
            inode,
        )


def _table() -> NDArray[np.void] | None:
    """Return what sock_diag tells of many, as the iterator does; None: ask it one by one."""
    found = tcp_table(sock_diag.SYNCHRONIZED)
    if found is None:
        return None
    made = np.zeros(len(found), np.dtype(list(MEMBERS)))
    for name in (*MEMBERS_TOLD, "cookie", "inode"):
        made[name] = found[name]
    links = np.stack([found["ifindex"], np.full(len(found), procfs.netns(), "=u4")], axis=1)
    for end in ("laddr", "raddr"):
        made[end][:, :16] = found[end]
        made[end][:, 16:] = np.ascontiguousarray(links).view("u1")
    return made


def _told() -> Iterator[OpenSocket]:
    for s in sock_diag.tcp_sockets(sock_diag.SYNCHRONIZED):
        if (i := s.info) is not None:
            yield OpenSocket(
                s.cookie, scoped_here(s.laddr, s.ifindex), s.lport,
                scoped_here(s.raddr, s.ifindex), s.rport,
                i.rtt_us, i.min_rtt_us, i.total_retrans, i.data_segs_out, s.inode,
            )  # fmt: skip
