"""Many connections with callbacks, as columns; a few that fell silent are looked at one by one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.row_table import ColumnRows
from probes.hooks.tcp_rtt.columns import ConnectionColumns
from probes.kernel.netlink.sock_diag import Ends, TcpSocket
from probes.kernel.procfs import Owner
from probes.model import Column, Fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MARKS = ("samples", "retransmits", "sent", "srtt_us", "min_us", "inode", "lport", "rport")
"""Fields of an entry of which one changes wherever any does; of ports, if it connects again."""
_SETTLED = ("srtt_us", "min_us", "sent", "inode")
"""Fields that may move after the last callback."""


class CallbackColumns:
    """The same as `CallbackRows`, for many: entries are compared with those of the reading before.

    moving: of each, whether it had changed since then. settled: where `estimates` are newer than
    what the entry has.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._made = ConnectionColumns(columns, "sock_ops")
        self._keys: NDArray[Any] | None = None
        self._marks: NDArray[Any]
        self._moving: NDArray[np.bool_]
        self._settled: NDArray[np.bool_]
        self._estimates: NDArray[Any]

    def forget(self) -> None:
        """Forget the reading before: others are made row by row."""
        self._keys = None

    def stopped(self, entries: Fields) -> list[int]:
        """Take what was read; return the places of those that moved until the reading before."""
        keys = entries["key"]
        marks = np.column_stack([entries[field] for field in _MARKS])
        stopped, settled = np.zeros(len(keys), bool), np.zeros(len(keys), bool)
        moving, estimates = ~stopped, np.zeros((len(keys), len(_SETTLED)), "u8")
        if self._keys is not None and len(self._keys):
            near = _near(keys, self._keys)
            same = (self._keys[near] == keys) & (self._marks[near] == marks).all(axis=1)
            moving, stopped, settled = ~same, same & self._moving[near], same & self._settled[near]
            estimates[settled] = self._estimates[near][settled]
        self._keys, self._marks, self._moving = keys, marks, moving
        self._settled, self._estimates = settled, estimates
        return [int(place) for place in np.flatnonzero(stopped)]

    def ends(self, entries: Fields, places: Iterable[int]) -> list[Ends]:
        return [_ends(entries, place) for place in places]

    def settle(self, places: Iterable[int], found: Iterable[TcpSocket | None]) -> None:
        """Take what sock_diag tells of connections that have `stopped`."""
        for place, s in zip(places, found, strict=True):
            if s is not None and s.info is not None:
                least = s.info.min_rtt_us or 0
                i = s.info
                self._estimates[place] = i.rtt_us, least, i.data_segs_out, s.inode
                self._settled[place] = True

    def inodes(self, entries: Fields) -> NDArray[Any]:
        """Return the inodes of what was taken."""
        return np.where(self._settled, self._estimates[:, -1], entries["inode"])

    def rows(
        self,
        entries: Fields,
        others: NDArray[Any] | None,
        whose: Mapping[int, Owner],
        origin: str,
    ) -> ColumnRows | None:
        """Return a row for each connection; None where that cannot be done in columns.

        others: what was told of connections, those that have an entry among them. origin: by what.
        """
        newest = _Newest(entries, self._settled, self._estimates)
        seen = self._made.of_map(newest, newest["inode"], whose)
        if others is None:
            return seen
        unseen = others[~np.isin(others["cookie"], entries["key"])]
        if len(np.unique(unseen["cookie"])) != len(unseen):
            return None
        return seen.followed_by(self._made.of_sockets(unseen, whose, origin))


class _Newest:
    """A map's entries, with what they have come to since."""

    def __init__(
        self, entries: Fields, settled: NDArray[np.bool_], estimates: NDArray[Any]
    ) -> None:
        self._entries = entries
        self._now = {
            field: np.where(settled, estimates[:, n], entries[field])
            for n, field in enumerate(_SETTLED)
        }

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, field: str) -> NDArray[Any]:
        found = self._now.get(field)
        return self._entries[field] if found is None else found


def _near(keys: NDArray[Any], before: NDArray[Any]) -> NDArray[Any]:
    """Return where each key was before, or the place of another where it was not there."""
    if np.array_equal(keys, before):
        return np.arange(len(keys))
    order = np.argsort(before)
    near = np.searchsorted(before, keys, sorter=order)
    found: NDArray[Any] = order[np.minimum(near, len(before) - 1)]
    return found


def _ends(entries: Fields, place: int) -> Ends:
    laddr, raddr = (entries[field][place].tobytes() for field in ("laddr", "raddr"))
    cookie, lport, rport = (int(entries[field][place]) for field in ("key", "lport", "rport"))
    return ends_of(cookie, laddr, lport, raddr, rport)


def ends_of(cookie: int, laddr: bytes, lport: int, raddr: bytes, rport: int) -> Ends:
    """Return the ends of a map's entry as sock_diag takes them."""
    link = int.from_bytes(laddr[16:20], sys.byteorder)
    return Ends(cookie, laddr[:16], lport & _PORT, raddr[:16], rport & _PORT, link)


_PORT = 0xFFFF
