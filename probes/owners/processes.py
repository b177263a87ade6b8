"""Owners of processes, by pid: looked up once, and again now and then; remembered when they end."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from threading import Lock
from time import monotonic

from probes.kernel import net_namespaces
from probes.owners import cgroup_path
from probes.owners.allowance import Allowance
from probes.owners.netns import NamespaceNames
from probes.owners.owner import NamedOwner, owner_of

AGAIN, UNSURE_AGAIN = 10.0, 2.0
"""Seconds after which a process is looked at again, and a container without a name."""
MOST_PROCESSES, MOST_CGROUPS = 1 << 15, 1 << 12
"""Processes and cgroups that are remembered: the oldest are forgotten first."""
NEW_SECONDS, AGAIN_SECONDS = 0.04, 0.005
"""Seconds of each second for processes that are new, and for a second look."""

NOBODY = "\t\t"
"""The owner of whom nothing is known."""


class ProcessOwners:
    """Owners of processes as texts: container, unit and network namespace, a tab between each.

    Thread-safe. Which process has no time left for it is looked at in the next reading.
    """

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._cgroups: OrderedDict[bytes, tuple[NamedOwner, float]] = OrderedDict()
        self._order: deque[tuple[float, int]] = deque()
        self._new, self._again = Allowance(NEW_SECONDS), Allowance(AGAIN_SECONDS)
        self._lock = Lock()
        self._namespaces = NamespaceNames(self._container)

    def of_all(self, pids: Sequence[int]) -> list[str]:
        """Return the owner of each; NOBODY of one that is not known, or not yet."""
        with self._lock:
            self._look_again()
            found = list(map(self._known.get, pids))
            if None in found:
                self._look(pid for pid, owner in zip(pids, found, strict=True) if owner is None)
        return [owner or NOBODY for owner in map(self._known.get, pids)]

    def namespaces(self, inodes: Iterable[int]) -> list[str]:
        """Return the names of network namespaces, "" of one that has none."""
        with self._lock:
            return list(map(self._namespaces.of, inodes))

    def _look(self, pids: Iterable[int]) -> None:
        until = self._new.begin()
        for pid in pids:
            if monotonic() > until:
                break
            if pid not in self._known:
                self._known[pid] = self._owner(pid) or NOBODY
                self._order.append((monotonic(), pid))
        self._new.end(until)
        while len(self._known) > MOST_PROCESSES:
            self._known.pop(self._order.popleft()[1], None)

    def _look_again(self) -> None:
        """Look at those that were looked at longest ago; what has gone keeps its names."""
        due = monotonic() - AGAIN
        if not self._order or self._order[0][0] > due:
            return
        until = self._again.begin()
        while self._order[0][0] <= due and monotonic() < until:
            _, pid = self._order.popleft()
            self._known[pid] = self._owner(pid) or self._known[pid]
            self._order.append((monotonic(), pid))
        self._again.end(until)

    def _owner(self, pid: int) -> str | None:
        table = cgroup_path.of_process(pid) if pid > 0 else None
        if table is None:
            return None
        owner = self._of_cgroups(table)
        inode = net_namespaces.of_process(pid)
        namespace = self._namespaces.of(inode, pid) if inode else ""
        return f"{owner.container}\t{owner.unit}\t{namespace}"

    def _of_cgroups(self, table: bytes) -> NamedOwner:
        known, now = self._cgroups.get(table), monotonic()
        if known is not None and now < known[1]:
            return known[0]
        owner = owner_of(cgroup_path.parsed(table))
        if known is not None and known[0].sure and not owner.sure:
            owner = known[0]  # its files have gone, its last processes have not
        self._cgroups[table] = owner, now + (AGAIN if owner.sure else UNSURE_AGAIN)
        self._cgroups.move_to_end(table)
        while len(self._cgroups) > MOST_CGROUPS:
            self._cgroups.popitem(last=False)
        return owner

    def _container(self, pid: int) -> str:
        table = cgroup_path.of_process(pid)
        return "" if table is None else self._of_cgroups(table).container


shared = ProcessOwners()
"""The owners that all readers of this process share."""
