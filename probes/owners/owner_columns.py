"""The columns `container`, `unit` and `netns_name` of a hook's rows, added as rows are read.

The names are part of the rows, so that recordings have those of their moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress, repeat
from operator import is_
from typing import Any, NamedTuple

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells
from probes.columns.numbered import shared_texts
from probes.columns.row_table import ColumnRows
from probes.kernel import procfs
from probes.model import Hook, Row, Value
from probes.owners.processes import NOBODY, ProcessOwner, shared

NETNS = "netns_name"
NAMES = ("container", "unit", NETNS)
"""The columns, in the order of `ProcessOwner`."""


class _OwnerPlaces(NamedTuple):
    """Places of the columns that tell the owner, -1 for one that a hook does not have.

    cgroup (a path, or an id), else pid: of container and unit. netns: the inode of a network
    namespace, unknown (None) for our own; where there is none, it is the process's, without a
    process our own. number: how many columns come before the owner's.
    """

    pid: int
    cgroup: int
    netns: int
    number: int

    @classmethod
    def of(cls, names: Sequence[str]) -> _OwnerPlaces | None:
        """Return those of columns with such names; None where they have no owner's."""
        if not names or names[-1] != NETNS:
            return None
        told = names[: -len(NAMES)] if names[-len(NAMES) :] == NAMES else names[:-1]
        cgroup = "cgroup" if "cgroup" in told else "cgroup_id"
        pid, group, netns = (told.index(n) if n in told else -1 for n in ("pid", cgroup, "netns"))
        return cls(pid, group, netns, len(told))

    @property
    def of_our_own(self) -> bool:
        """Whether nothing tells the namespace: it is the one that we look from."""
        return self.netns < 0 and self.pid < 0 and self.cgroup < 0

    @property
    def telling(self) -> tuple[int, int, int]:
        return self[:3]


def with_owners(hook: Hook, rows: Iterable[Row]) -> Iterable[Row]:
    """Return a hook's rows with these columns, its last ones, where it has them.

    rows: with anything in their place, or without them. A hook of interfaces has `netns_name`
    alone.
    """
    names = hook.places.names
    told = _OwnerPlaces.of(names)
    if told is None:
        return rows
    if isinstance(rows, ColumnRows):
        if not len(rows):
            return rows
        cells = rows.cells[: told.number]
        made = _cells(told, cells, len(rows))[told.number - len(names) :]
        return ColumnRows((*cells, *made))
    return _filled(told, list(rows), len(names))


def log_with_owners(hook: Hook, log: Sequence[Row]) -> tuple[Row, ...]:
    """Return a hook's log with the same columns."""
    names = tuple([column.name for column in hook.log])
    told = _OwnerPlaces.of(names)
    return tuple(log if told is None or not log else _filled(told, log, len(names)))


def _filled(told: _OwnerPlaces, rows: Sequence[Row], width: int) -> list[Row]:
    columns = ([row[at] for row in rows] if at >= 0 else [None] * len(rows) for at in told.telling)
    owners = _owners(told, *columns)
    first = told.number - width
    return [(*row[: told.number], *o[first:]) for row, o in zip(rows, owners, strict=True)]


def _owners(
    told: _OwnerPlaces, pids: Sequence[Value], cgroups: Sequence[Value], inodes: Sequence[Value]
) -> Iterable[ProcessOwner]:
    """Return the owner of each row."""
    owners = _of_processes(pids)
    if told.cgroup >= 0:
        of_cgroups = _of_cgroups(cgroups)
        _remember(pids, owners, of_cgroups)
        both = zip(of_cgroups, owners, strict=True)
        owners = [ProcessOwner(*map(_first, cgroup, process)) for cgroup, process in both]
    if told.netns < 0 and not told.of_our_own:
        return owners
    return [o._replace(netns=name) for o, name in zip(owners, _namespaces(inodes), strict=True)]


def _remember(
    pids: Sequence[Value], known: Sequence[ProcessOwner], cgroups: Sequence[ProcessOwner]
) -> None:
    """Keep what the cgroup told of processes that had ended: a log has their ids alone."""
    unknown = map(is_, known, repeat(NOBODY))
    told = dict(compress(zip(pids, cgroups, strict=True), unknown))
    ended = {pid: owner for pid, owner in told.items() if isinstance(pid, int) and owner != NOBODY}
    shared.remember(ended)


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


def _cells(told: _OwnerPlaces, cells: Sequence[Cells], rows: int) -> list[Cells]:
    """Return the columns: each process, cgroup and namespace is looked up once."""
    texts = shared_texts()
    pids, of = _distinct_at(told.pid, cells, rows)
    owners = _of_processes(pids)
    made = [texts.of(names)[of] for names in zip(*owners, strict=True)]
    if told.cgroup >= 0:
        groups, of_group = _distinct(cells[told.cgroup])
        of_cgroups = _of_cgroups(groups)
        some_row = np.zeros(len(pids), np.intp)
        some_row[of] = np.arange(rows)
        _remember(pids, owners, list(map(of_cgroups.__getitem__, of_group[some_row].tolist())))
        ours = [texts.of(names)[of_group] for names in zip(*of_cgroups, strict=True)]
        made = [np.where(o >= 0, o, m) for o, m in zip(ours, made, strict=True)]
    if told.netns >= 0 or told.of_our_own:
        inodes, of = _distinct_at(told.netns, cells, rows)
        made[2] = texts.of(_namespaces(inodes))[of]
    return [texts.coded(numbers) for numbers in made]


def _distinct_at(place: int, cells: Sequence[Cells], rows: int) -> tuple[list[Any], Any]:
    """Return the same of a column; None for each row where there is no such column."""
    return _distinct(cells[place]) if place >= 0 else ([None], np.zeros(rows, np.intp))


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
