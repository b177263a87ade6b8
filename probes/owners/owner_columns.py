"""The columns `container`, `unit` and `netns_name` of a hook's rows, added as rows are read.

The names are part of the rows, so that recordings have those of their moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells
from probes.columns.numbered import shared_texts
from probes.columns.row_table import ColumnRows
from probes.kernel import procfs
from probes.model import Hook, Row, Value
from probes.owners.processes import ProcessOwner, shared

NAMES = ("container", "unit", "netns_name")
"""The columns, in the order of `ProcessOwner`."""


class _OwnerPlaces(NamedTuple):
    """Places of the columns that tell the owner, -1 for one that a hook does not have.

    cgroup (a path, or an id), else pid: of container and unit. netns: the inode of a network
    namespace, unknown (None) for our own; where there is none, it is the process's.
    """

    pid: int
    cgroup: int
    netns: int


def with_owners(hook: Hook, rows: Iterable[Row]) -> Iterable[Row]:
    """Return a hook's rows with these columns, its last ones, where it has them.

    rows: with anything in their place, or without them.
    """
    names = hook.places.names
    if names[-len(NAMES) :] != NAMES or "pid" not in names:
        return rows
    number = len(names) - len(NAMES)
    cgroup = "cgroup" if "cgroup" in names else "cgroup_id"
    told = _OwnerPlaces(*[names.index(n) if n in names else -1 for n in ("pid", cgroup, "netns")])
    if isinstance(rows, ColumnRows):
        cells = rows.cells[:number]
        return ColumnRows((*cells, *_cells(told, cells))) if len(rows) else rows
    rows = list(rows)
    owners = _owners(told, *([row[at] for row in rows] for at in told))
    return [(*row[:number], *owner) for row, owner in zip(rows, owners, strict=True)]


def _owners(
    told: _OwnerPlaces, pids: Sequence[Value], cgroups: Sequence[Value], inodes: Sequence[Value]
) -> Iterable[ProcessOwner]:
    """Return the owner of each row."""
    owners = _of_processes(pids)
    if told.cgroup >= 0:
        both = zip(_of_cgroups(cgroups), owners, strict=True)
        owners = [ProcessOwner(*map(_first, cgroup, process)) for cgroup, process in both]
    if told.netns < 0:
        return owners
    return [o._replace(netns=name) for o, name in zip(owners, _namespaces(inodes), strict=True)]


def _first(name: str | None, other: str | None) -> str | None:
    return name or other


def _of_processes(pids: Sequence[Value]) -> list[ProcessOwner]:
    return shared.of_all([pid if isinstance(pid, int) else 0 for pid in pids])


def _of_cgroups(cgroups: Sequence[Value]) -> list[ProcessOwner]:
    if str in set(map(type, cgroups)):
        return shared.of_cgroups([path if isinstance(path, str) else "" for path in cgroups])
    return shared.of_cgroup_ids([id if isinstance(id, int) else 0 for id in cgroups])


def _namespaces(inodes: Sequence[Value]) -> list[str | None]:
    own = _own_namespace()
    return shared.namespaces([inode if isinstance(inode, int) else own for inode in inodes])


def _cells(told: _OwnerPlaces, cells: Sequence[Cells]) -> list[Cells]:
    """Return the columns: each process, cgroup and namespace is looked up once."""
    texts = shared_texts()
    distinct, of = _distinct(cells[told.pid])
    made = [texts.of(names)[of] for names in zip(*_of_processes(distinct), strict=True)]
    if told.cgroup >= 0:
        distinct, of = _distinct(cells[told.cgroup])
        ours = [texts.of(names)[of] for names in zip(*_of_cgroups(distinct), strict=True)]
        made = [np.where(o >= 0, o, m) for o, m in zip(ours, made, strict=True)]
    if told.netns >= 0:
        distinct, of = _distinct(cells[told.netns])
        made[2] = texts.of(_namespaces(distinct))[of]
    return [texts.coded(numbers) for numbers in made]


def _distinct(cells: Cells) -> tuple[list[Any], Any]:
    """Return the values that there are, and which of them each row has."""
    if isinstance(cells, NumberCells):
        raw = cells.raw if cells.known is None else np.where(cells.known, cells.raw, -1)
        found, of = np.unique(raw, return_inverse=True)
        return [value if value >= 0 else None for value in found.tolist()], of.reshape(-1)
    values = cells.values()
    number = {value: n for n, value in enumerate(dict.fromkeys(values))}
    return list(number), np.array([number[value] for value in values], np.intp)


def _own_namespace() -> int:
    try:
        return procfs.netns()
    except OSError:  # no /proc
        return 0
