"""Many connections as columns: the map's rows, completed by what the iterator wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells, NumberCells, joined, nothing
from probes.columns.row_table import ColumnRows
from probes.hooks.tcp_rtt.open_sockets import ITERATOR, SOCK_DIAG
from probes.kernel.procfs import Owner
from probes.model import Column, Fields
from probes.toolkit.field_cells import cells_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIELDS = ("cookie", "laddr", "lport", "raddr", "rport", "srtt_us", "min_us", "retransmits", "sent")
"""Columns that an iterator fills; its C fields have the same names."""
_MOST_OWNERS = 4096


class ConnectionColumns:
    """A maker of rows. source: of what programs see."""

    def __init__(self, columns: Sequence[Column], source: str) -> None:
        self._names = [column.name for column in columns]
        self._cells = cells_from(columns)
        told = [c for c in columns if c.name in _FIELDS and c.name != "cookie"]
        self._told = [c.name for c in told]
        self._cells_told = cells_from(told)
        self._origins = (source, ITERATOR, SOCK_DIAG)
        self._owners = _Owners()

    def of_map(
        self, entries: Fields, inodes: NDArray[Any], whose: Mapping[int, Owner]
    ) -> ColumnRows:
        """Return a row for each entry of a map that knows all about connections."""
        known = dict(zip(self._names, self._cells(entries), strict=True))
        known["from"] = CodedCells(np.zeros(len(entries), "u1"), self._origins.__getitem__)
        known |= self._held(inodes, whose)
        return ColumnRows([known[name] for name in self._names])

    def of_sockets(self, sockets: Fields, whose: Mapping[int, Owner], origin: str) -> ColumnRows:
        """Return a row for each connection, where there is no map."""
        known, empty = self._of_sockets(sockets, whose, origin), nothing(len(sockets))
        return ColumnRows([known.get(name, empty) for name in self._names])

    def rows(
        self, entries: Fields, sockets: Fields, whose: Mapping[int, Owner], origin: str
    ) -> ColumnRows | None:
        """Return a row for each connection: those in the map first.

        origin: of what only the sockets tell. None if one of these was told of twice.
        """
        cookies = sockets["cookie"]
        if len(np.unique(cookies)) != len(cookies):
            return None
        told_at, seen_at = _order(entries["key"], cookies)
        known = dict(zip(self._names, self._cells(entries), strict=True))
        told = self._of_sockets(sockets, whose, origin)
        known["from"] = CodedCells(np.zeros(len(entries), "u1"), self._origins.__getitem__)
        empty, made = nothing(len(sockets)), []
        for name in self._names:
            # The source is the program, if it saw the connection; what is told now is newer.
            at = seen_at if name == "from" or name not in told else told_at
            made.append(joined(known[name], told.get(name, empty)).at(at))
        return ColumnRows(made)

    def _of_sockets(
        self, sockets: Fields, whose: Mapping[int, Owner], origin: str
    ) -> dict[str, Cells]:
        told = dict(zip(self._told, self._cells_told(sockets), strict=True))
        told["cookie"] = NumberCells(sockets["cookie"])
        number = self._origins.index(origin)
        told["from"] = CodedCells(np.full(len(sockets), number, "u1"), self._origins.__getitem__)
        return told | self._held(sockets["inode"], whose)

    def _held(self, inodes: NDArray[Any], whose: Mapping[int, Owner]) -> dict[str, Cells]:
        held, number = self._holders(inodes, whose)
        pids = NumberCells(self._owners.pids()[number], held)
        return {"pid": pids, "comm": CodedCells(number, self._owners.comm, held)}

    def _holders(
        self, inodes: NDArray[Any], whose: Mapping[int, Owner]
    ) -> tuple[NDArray[np.bool_], NDArray[Any]]:
        """Return which sockets' owners are known, and their numbers."""
        if len(self._owners) > _MOST_OWNERS:  # earlier readings keep those that they have
            self._owners = _Owners()
        owners = list(map(whose.get, inodes.tolist()))
        number = self._owners.numbers(owners)
        return number >= 0, np.maximum(number, 0)


class _Owners:
    """Owners by numbers, which stay."""

    def __init__(self) -> None:
        self._all = [Owner(0, "")]
        self._numbers: dict[Owner | None, int] = {None: -1}

    def __len__(self) -> int:
        return len(self._all)

    def numbers(self, owners: Sequence[Owner | None]) -> NDArray[Any]:
        """Return their numbers, -1 where there is no owner."""
        for owner in set(owners) - self._numbers.keys():
            assert owner is not None
            self._numbers[owner] = len(self._all)
            self._all.append(owner)
        return np.fromiter(map(self._numbers.__getitem__, owners), "i4", len(owners))

    def pids(self) -> NDArray[Any]:
        """Return their process ids, by number."""
        return np.array([owner.pid for owner in self._all], "i8")

    def comm(self, number: int) -> str:
        return self._all[number].comm


def _order(keys: NDArray[Any], cookies: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the places that make up the rows, in the map's entries and the sockets after them.

    Of a connection that is in both, first those of the socket, then those of the entry.
    """
    sorted_by = np.argsort(cookies)
    near = np.minimum(np.searchsorted(cookies, keys, sorter=sorted_by), len(cookies) - 1)
    socket = sorted_by[near]
    both = cookies[socket] == keys
    mine = np.arange(len(keys))
    told, alone = np.where(both, socket + len(keys), mine), np.ones(len(cookies), bool)
    alone[socket[both]] = False
    rest = np.flatnonzero(alone) + len(keys)
    return np.concatenate([told, rest]), np.concatenate([mine, rest])
