"""Names of network namespaces: "host", ip-netns(8)'s, a container's, or that of a process in it."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from time import monotonic, thread_time
from typing import NamedTuple

from probes.kernel import net_namespaces, procfs, shared_namespaces
from probes.owners import state_files

NAMED = "/run/netns"
"""Directory in which ip-netns(8), CNI plugins and Podman mount the namespaces that they name."""
HOST = "host"
MOST_NAMED, MOST_KNOWN = 1 << 12, 1 << 12
AGAIN, UNNAMED_AGAIN = 3.0, 1.0
"""Seconds after which a name is looked for again, and that of one without a name.

Not longer: the kernel gives the number of a namespace that has gone to the next one.
"""
SECONDS = 0.01
"""Seconds of CPU in each second for names; whose turn does not come keeps what was known of it."""
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MADE_UP = re.compile(rf"(?:cni|netns)-[0-9a-f-]{{12,}}|{_UUID}")
"""Names that no user gave: by CNI, by Podman, and by CRI-O the last."""


class NamedNamespace(NamedTuple):
    """A namespace's name, and the container whose it is; "" where it has none."""

    name: str = ""
    container: str = ""


NAMELESS = NamedNamespace()


class NamespaceNames:
    """Names by inode. container_of: of a process, "" if it is in none. Not thread-safe."""

    def __init__(self, container_of: Callable[[int], str]) -> None:
        self._container_of = container_of
        self._known: OrderedDict[int, tuple[NamedNamespace, float]] = OrderedDict()
        self._mounted: Mapping[int, str] = {}
        self._oldest: Mapping[int, int] = {}
        self._host, self._next = 0, 0.0
        self._period, self._spent = 0.0, 0.0

    def of(self, inode: int, member: int = 0, *, at_once: bool = False) -> NamedNamespace:
        """Return what is known of one. member: a process that is known to be in it.

        at_once: whatever time it takes.
        """
        known, until = self._known.get(inode, (NAMELESS, 0.0))
        now = monotonic()
        if now < until:
            return known
        self._look(now)
        if not (at_once or self._has_time(now)):
            return known
        begin = thread_time()
        found = self._found(inode, member)
        self._spent += thread_time() - begin
        known = found if found.name else known  # what has gone keeps its name
        self._known[inode] = known, now + (AGAIN if known.name else UNNAMED_AGAIN)
        self._known.move_to_end(inode)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return known

    def _has_time(self, now: float) -> bool:
        if now - self._period >= 1.0:
            self._period, self._spent = now, 0.0
        return self._spent < SECONDS

    def all_of(self, seconds: float) -> dict[str, int]:
        """Return the processes by which each namespace that has a name can be entered.

        Those that are found in so many seconds, but for those with a name of ip-netns(8) alone.
        """
        until, there = monotonic() + seconds, shared_namespaces.shared.find()
        while not shared_namespaces.shared.complete and monotonic() < until:
            there = shared_namespaces.shared.find()
        found = {pid: self.of(inode, pid, at_once=True).name for inode, pid in there.items()}
        return {name: pid for pid, name in found.items() if name}

    def _look(self, now: float) -> None:
        if now < self._next:
            return
        self._mounted, self._host = _mounted(), _of_host()
        with suppress(OSError):  # files are short
            self._oldest = shared_namespaces.shared.find()
        self._next = now + UNNAMED_AGAIN

    def _found(self, inode: int, member: int) -> NamedNamespace:
        if inode == self._host:
            return NamedNamespace(HOST)
        given = self._mounted.get(inode, "")
        pid = self._oldest.get(inode, 0)
        if not pid or net_namespaces.of_process(pid) != inode:  # the number is another one's by now
            pid = member
        container = _shared_by(self._container_of(pid)) if pid else ""
        if given and not _MADE_UP.fullmatch(given):
            return NamedNamespace(given, container)
        return NamedNamespace(container or given or (_of_process(pid) if pid else ""), container)


def _of_host() -> int:
    with suppress(OSError):
        return net_namespaces.of_host()
    return 0


def given_names() -> list[str]:
    """Return the names that ip-netns(8) lists, made printable."""
    return sorted(_mounted().values())


def _mounted() -> dict[int, str]:
    found: dict[int, str] = {}
    with suppress(OSError), os.scandir(NAMED) as entries:
        kind = os.stat("/proc/thread-self/ns/net").st_dev  # noqa: PTH116
        for entry in islice(entries, MOST_NAMED):
            with suppress(OSError):
                state = entry.stat()
                if state.st_dev == kind:
                    found[state.st_ino] = state_files.named(entry.name)
    return found


def _shared_by(container: str) -> str:
    """Return a container's name; of a pod's "namespace/pod", as its containers share one."""
    return "/".join(container.split("/")[:2])


def _of_process(pid: int) -> str:
    comm = procfs.comm(pid)
    return f"netns of {state_files.named(comm)}[{pid}]" if comm else ""
