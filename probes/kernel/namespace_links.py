"""Interfaces of other network namespaces with their counters: /proc/net/dev of each, as arrays.

What a name stands for (number, kind, state) is asked by netlink, when the names change and now and
then. proc(5); entering takes CAP_SYS_ADMIN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.arrays import np
from probes.kernel import procfs
from probes.kernel.net_counters import OWN, read
from probes.kernel.net_namespaces import named, visited
from probes.kernel.netlink import route
from probes.kernel.shared_namespaces import shared

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNTERS = {
    "rx_bytes": 1, "rx_packets": 2, "rx_errors": 3, "rx_dropped": 4,
    "tx_bytes": 9, "tx_packets": 10, "tx_errors": 11, "tx_dropped": 12,
}  # fmt: skip
"""Columns of /proc/net/dev. rx_dropped has what the device missed, too."""
_WORDS = 17
MOST = 256
"""Namespaces that are looked into."""
LOOK_AGAIN, LOOK_SECONDS = 30.0, 0.008
"""Seconds until names are asked for again, and that this takes at a time."""
LIST_AGAIN = 5.0
"""Seconds until the names of ip-netns(8) are listed again."""

Names = tuple[bytes, ...]
LinkElsewhere = tuple[int, route.Interface]
"""An interface, after its namespace's inode."""


class _LinksThere(NamedTuple):
    """The interfaces of a namespace, in the order of its file, and when they were asked for."""

    names: Names
    links: Sequence[route.Interface]
    asked: float


class NamespaceLinks:
    """A reader of all at once. Not thread-safe."""

    def __init__(self) -> None:
        self._named: Mapping[int, str] = {}
        self._list_at = 0.0
        self._known: dict[int, _LinksThere] = {}
        self._there: list[tuple[int, _LinksThere]] = []
        self._links: list[LinkElsewhere] = []

    def read(self) -> tuple[list[LinkElsewhere], NDArray[Any]]:
        """Return the interfaces, and the counters, a row for each.

        The list is the same object while nothing has changed. Interfaces of a namespace that was
        not looked into yet come with a later reading.
        """
        files = self._files()
        words = visited(files, lambda: read(f"{OWN}dev").split(b"\n", 2)[-1].split())
        names = {inode: tuple(found[::_WORDS]) for inode, found in words.items()}
        self._look(files, names)
        there = [(n, self._known[n]) for n in names if self._is_known(n, names[n])]
        if there != self._there:
            self._there = there
            self._links = [(n, link) for n, known in there for link in known.links]
        tokens = sum((words[inode] for inode, _ in there), list[bytes]())
        table = np.array(tokens or [b""], "S").reshape(-1, _WORDS if tokens else 1)[
            : len(self._links)
        ]
        places = list(COUNTERS.values()) if tokens else [0][:0]
        return self._links, table[:, places].astype("u8").astype("i8")

    def _files(self) -> dict[int, str]:
        """Return a file to enter each by, but for our own."""
        now = monotonic()
        if now >= self._list_at:
            self._named, self._list_at = named(), now + LIST_AGAIN
        found = {n: f"/proc/{pid}/ns/net" for n, pid in shared.find().items()}
        found |= self._named
        found.pop(procfs.netns(), None)
        return dict(list(found.items())[:MOST])

    def _is_known(self, inode: int, names: Names) -> bool:
        known = self._known.get(inode)
        return known is not None and known.names == names

    def _look(self, files: Mapping[int, str], names: Mapping[int, Names]) -> None:
        """Ask what the names stand for: first where that is not known, then where it is old."""
        for gone in self._known.keys() - files.keys():
            del self._known[gone]
        now = monotonic()
        new = [n for n in names if not self._is_known(n, names[n])]
        old = [n for n in names if n not in new and self._known[n].asked < now - LOOK_AGAIN]
        until = now + LOOK_SECONDS

        def ask() -> Sequence[route.Interface] | None:
            return route.links() if monotonic() < until else None

        for inode, links in visited({n: files[n] for n in (*new, *old)}, ask).items():
            if links is not None:
                by_name = {link.name.encode(errors="surrogateescape"): link for link in links}
                called = names[inode]
                if all(name.removesuffix(b":") in by_name for name in called):
                    in_order = [by_name[name.removesuffix(b":")] for name in called]
                    self._known[inode] = _LinksThere(called, in_order, now)
