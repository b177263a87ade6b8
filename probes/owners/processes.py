"""Owners of processes, by pid: looked up once, and again now and then; remembered when they end."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from time import monotonic
from typing import NamedTuple

from probes.kernel import cgroups, net_namespaces
from probes.owners import cgroup_path, nspawn
from probes.owners.lookups import AGAIN, Lookups
from probes.owners.netns import NamedNamespace, NamespaceNames
from probes.owners.owner import NamedOwner, owner_of
from probes.owners.pids_issued import PidsIssued

UNSURE_AGAIN, UNSURE_MOST = 2.0, 60.0
"""Seconds after which a container is looked for again that had no name: each time twice as many."""
MOST_CGROUPS = 1 << 12
"""Cgroups that are remembered: the least recently looked at is forgotten first."""


class ProcessOwner(NamedTuple):
    """The owner of a process: container, unit and network namespace; None without a name."""

    container: str | None = None
    unit: str | None = None
    netns: str | None = None


NOBODY = ProcessOwner()
"""The owner of whom nothing is known."""


class _CgroupOwner(NamedTuple):
    """Whose a cgroup is, when it is looked at again, and after how many seconds that is."""

    owner: NamedOwner
    until: float
    pause: float


class ProcessOwners:
    """Owners of processes, cgroups and network namespaces; remembered when they have gone.

    Thread-safe.
    """

    def __init__(self) -> None:
        self._cgroups: OrderedDict[bytes, _CgroupOwner] = OrderedDict()
        self._namespaces = NamespaceNames(self._container)
        self._by_pid = Lookups(self._owner, NOBODY, PidsIssued().since)
        self._by_path = Lookups(self._of_path, NOBODY)
        self._by_id = Lookups(self._of_id, NOBODY)
        self._paths = cgroups.Paths()
        self._lock = Lock()

    def of_all(self, pids: Sequence[int]) -> list[ProcessOwner]:
        """Return the owner of each; NOBODY of one that is not known, or not yet."""
        with self._lock:
            return self._by_pid.of_all(pids)

    def remember(self, owners: Mapping[int, ProcessOwner]) -> None:
        """Keep the owners of processes that have ended, as something else has told them."""
        with self._lock:
            self._by_pid.remember(owners)

    def of_cgroups(self, paths: Sequence[str]) -> list[ProcessOwner]:
        """Return the owners of cgroups, by their paths from the root on."""
        with self._lock:
            return self._by_path.of_all(paths)

    def of_cgroup_ids(self, ids: Sequence[int]) -> list[ProcessOwner]:
        """Return the owners of cgroups of version 2, by the ids that programs see."""
        with self._lock:
            return self._by_id.of_all(ids)

    def namespaces(self, inodes: Sequence[int]) -> list[str | None]:
        """Return the names of network namespaces, None of one that has none."""
        with self._lock:
            names = {inode: self._namespaces.of(inode).name or None for inode in set(inodes)}
        return list(map(names.get, inodes))

    def containers(self, inodes: Sequence[int]) -> list[str | None]:
        """Return the containers (or pods) whose these network namespaces are; None of another."""
        with self._lock:
            owners = {inode: self._namespaces.of(inode).container or None for inode in set(inodes)}
        return list(map(owners.get, inodes))

    def namespace(self, inode: int, member: int) -> NamedNamespace:
        """Return what is known of a network namespace. member: a process that is in it."""
        with self._lock:
            return self._namespaces.of(inode, member)

    def namespaces_by_name(self, seconds: float) -> dict[str, int]:
        """Return a process of each network namespace by its name; see `NamespaceNames.all_of`."""
        with self._lock:
            return self._namespaces.all_of(seconds)

    def _owner(self, pid: int) -> ProcessOwner | None:
        table = cgroup_path.of_process(pid) if pid > 0 else None
        if table is None:
            return None
        owner = self._of_cgroups(table)
        container = owner.container or nspawn.machine_of(pid)
        inode = net_namespaces.of_process(pid)
        namespace = self._namespaces.of(inode, pid).name if inode else ""
        return ProcessOwner(container or None, owner.unit or None, namespace or None)

    def _of_id(self, id: int) -> ProcessOwner | None:
        return self._of_path(self._paths.of(id)) if id > 0 else None

    def _of_path(self, path: str) -> ProcessOwner:
        owner = self._of_cgroups(b"0::" + os.fsencode(path))
        return ProcessOwner(owner.container or None, owner.unit or None)

    def _of_cgroups(self, table: bytes) -> NamedOwner:
        known, now = self._cgroups.get(table), monotonic()
        if known is not None and now < known.until:
            return known.owner
        owner, pause = owner_of(cgroup_path.parsed(table)), UNSURE_AGAIN
        if known is not None and known.owner.sure and not owner.sure:
            owner = known.owner  # its files have gone, its last processes have not
        elif known is not None:
            pause = min(2 * known.pause, UNSURE_MOST)
        pause = AGAIN if owner.sure else pause
        self._cgroups[table] = _CgroupOwner(owner, now + pause, pause)
        self._cgroups.move_to_end(table)
        while len(self._cgroups) > MOST_CGROUPS:
            self._cgroups.popitem(last=False)
        return owner

    def _container(self, pid: int) -> str:
        table = cgroup_path.of_process(pid)
        if table is None:
            return ""
        return self._of_cgroups(table).container or nspawn.machine_of(pid)


shared = ProcessOwners()
"""The owners that all readers of this process share."""
