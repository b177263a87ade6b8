"""Many sides of connections as columns: whose they are, and how many connections are open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, cells_of
from probes.columns.groups import EqualRows, grouped, words_of
from probes.columns.row_table import ColumnRows
from probes.kernel.procfs import Owner
from probes.model import Entries, Fields
from probes.toolkit.decode import comm, lazily
from probes.toolkit.field_cells import difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAME = 16
"""Bytes of a task's name."""


def without_owner(entries: Fields) -> set[int]:
    """Return the local ports of which no owner is known yet."""
    wanted = (entries["inward"] != 0) & (entries["owner"] == 0)
    return set(entries["port"][wanted].tolist())


def still_open(entries: Fields) -> Cells:
    """Return how many connections have begun and not ended."""
    return difference(entries["established"], entries["closed"])


def whose(entries: Fields, listening: Mapping[int, Owner], nobody: Owner) -> tuple[Cells, Cells]:
    """Return pid and name of who connects, or closed last; else of the listener at the port."""
    inward = entries["inward"] != 0
    pids = np.where(inward, entries["owner"], entries["caller"]).astype("i8")
    names = np.where(inward[:, None], entries["owner_name"], entries["name"])
    unknown = np.flatnonzero(pids == 0)
    ports, at = np.unique(entries["port"][unknown], return_inverse=True)
    owners = [listening.get(port, nobody) for port in ports.tolist()]
    if owners:
        octets = [owner.comm.encode("utf-8", "surrogateescape") for owner in owners]
        width = max(_NAME, *map(len, octets))
        names = np.pad(names, ((0, 0), (0, width - _NAME)))
        told = np.frombuffer(b"".join([one.ljust(width, b"\0") for one in octets]), "u1")
        names[unknown] = told.reshape(-1, width)[at.reshape(-1)]
        pids[unknown] = np.array([owner.pid for owner in owners], "i8")[at.reshape(-1)]
    found = lazily(comm, names)
    assert found is not None
    return NumberCells(pids, pids != 0), found


def counted_open(made: ColumnRows, place: int, entries: Fields, open: Entries) -> ColumnRows:
    """Return the rows with the number of open connections, as they are counted one by one.

    place: of the column. Rows behind those of entries have what is in none of them.
    """
    began = open.where(open["at"] != 0)
    groups = _same_side(entries, began)
    here, (_, there) = len(entries), np.split(groups.of, [len(entries)])
    counts = np.bincount(there, minlength=len(groups.first))
    mine = counts[groups.of[:here]]
    rest = len(began) - int(mine.sum())
    cells = cells_of([*mine.tolist(), *[rest] * (len(made) - here)])
    return ColumnRows([cells if at == place else c for at, c in enumerate(made.cells)])


def _same_side(entries: Fields, open: Fields) -> EqualRows:
    """Return which rows, and which connections behind them, are of the same side."""
    inward = open["inward"] != 0
    of_connections = _words(
        np.where(inward, 0, open["caller"]),
        np.where(inward, open["lport"], open["rport"]),
        inward.astype("u4"),
        np.where(inward[:, None], np.uint8(0), open["name"]),
    )
    of_rows = _words(*(entries[name] for name in ("caller", "port", "inward", "name")))
    return grouped(np.concatenate([of_rows, of_connections]))


def _words(
    caller: NDArray[Any], port: NDArray[Any], inward: NDArray[Any], name: NDArray[Any]
) -> NDArray[np.uint64]:
    names = np.ascontiguousarray(name).view("=u8").reshape(len(name), -1)
    return np.column_stack([words_of(caller, port, inward), names])
