"""The columns `container`, `unit` and `netns_name` of a hook's rows, added as rows are read.

A hook of interfaces has no unit. The names are part of the rows, so that recordings have those of
their moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress, repeat
from operator import is_
from typing import Any, NamedTuple

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells
from probes.columns.numbered import shared_texts
from probes.columns.row_table import ColumnRows
from probes.kernel import procfs
from probes.model import Hook, Row, Value
from probes.owners.peers import shared_peers
from probes.owners.processes import NOBODY, ProcessOwner, shared

NETNS = "netns_name"
NAMES = ("container", "unit", NETNS)
"""The columns, in the order of `ProcessOwner`."""
OF_INTERFACE = ("container", NETNS)
"""Those of a hook of interfaces; or the last alone."""


class _OwnerPlaces(NamedTuple):
    """Places of the columns that tell the owner, -1 for one that a hook does not have.

    cgroup (a path, or an id), else pid: of container and unit. netns: the inode of a network
    namespace, unknown (None) for our own; where there is none, it is the process's, without a
    process our own. interface: by number or name, in our own namespace. number: how many columns
    come before the owner's. filled: which of `ProcessOwner` those are.
    """

    pid: int
    cgroup: int
    netns: int
    interface: int
    number: int
    filled: tuple[int, ...]

    @property
    def of_our_own(self) -> bool:
        """Whether nothing tells the namespace: it is the one that we look from."""
        return self.netns < 0 and self.of_interface

    @property
    def of_interface(self) -> bool:
        """Whether it is no process's."""
        return self.pid < 0 and self.cgroup < 0

    @property
    def telling(self) -> tuple[int, int, int, int]:
        return self[:4]


@lru_cache(1 << 8)
def _places_in(names: tuple[str, ...]) -> _OwnerPlaces | None:
    """Return the places in columns with such names; None where they have no owner's."""
    if names[-1:] != (NETNS,):
        return None
    own = next(o for o in (NAMES, OF_INTERFACE, (NETNS,)) if names[-len(o) :] == o)
    told = names[: -len(own)]
    telling = (
        "pid",
        "cgroup" if "cgroup" in told else "cgroup_id",
        "netns",
        "ifindex" if "ifindex" in told else "interface",
    )
    pid, cgroup, netns, interface = (told.index(n) if n in told else -1 for n in telling)
    filled = tuple(map(NAMES.index, own))
    return _OwnerPlaces(pid, cgroup, netns, interface, len(told), filled)


def with_owners(hook: Hook, rows: Iterable[Row]) -> Iterable[Row]:
    """Return a hook's rows with these columns, its last ones, where it has them.

    rows: with anything in their place, or without them.
    """
    told = _places_in(hook.places.names)
    if told is None:
        return rows
    if isinstance(rows, ColumnRows):
        if not len(rows):
            return rows
        cells = rows.cells[: told.number]
        made = _cells(told, cells, len(rows))
        return ColumnRows((*cells, *map(made.__getitem__, told.filled)))
    return _filled(told, list(rows))


def log_with_owners(hook: Hook, log: Sequence[Row]) -> tuple[Row, ...]:
    """Return a hook's log with the same columns."""
    if not log:
        return ()
    told = _places_in(tuple([column.name for column in hook.log]))
    return tuple(log if told is None else _filled(told, log))


def _filled(told: _OwnerPlaces, rows: Sequence[Row]) -> list[Row]:
    columns = ([row[at] for row in rows] if at >= 0 else [None] * len(rows) for at in told.telling)
    made = list(zip(*_owners(told, *columns), strict=True))
    names = zip(*(made[n] for n in told.filled), strict=True) if made else ()
    return [(*row[: told.number], *own) for row, own in zip(rows, names, strict=True)]


def _owners(
    told: _OwnerPlaces,
    pids: Sequence[Value],
    cgroups: Sequence[Value],
    inodes: Sequence[Value],
    interfaces: Sequence[Value],
) -> Iterable[ProcessOwner]:
    """Return the owner of each row."""
    if told.of_interface:
        names = _namespaces(inodes), _containers(told, inodes if told.netns >= 0 else interfaces)
        return [ProcessOwner(own, None, name) for name, own in zip(*names, strict=True)]
    owners = _of_processes(pids)
    if told.cgroup >= 0:
        of_cgroups = _of_cgroups(cgroups)
        _remember(pids, owners, of_cgroups)
        both = zip(of_cgroups, owners, strict=True)
        owners = [ProcessOwner(*map(_first, cgroup, process)) for cgroup, process in both]
    if told.netns < 0:
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


def _containers(told: _OwnerPlaces, telling: Sequence[Value]) -> list[str | None]:
    """Return the containers whose network namespaces these are.

    telling: what the hook has of them: inodes, or interfaces of ours. The latter's containers are
    those at the other ends, else that which we look from.
    """
    own = _own_namespace()
    if told.netns >= 0:
        return shared.containers([inode if isinstance(inode, int) else own for inode in telling])
    (ours,) = shared.containers([own])
    return [end or ours for end in shared_peers.containers(telling)]


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
    if told.of_interface and 0 in told.filled:
        place = told.netns if told.netns >= 0 else told.interface
        telling, of = _distinct_at(place, cells, rows)
        made[0] = texts.of(_containers(told, telling))[of]
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
