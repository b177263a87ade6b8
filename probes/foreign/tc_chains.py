"""TC chains of this network namespace: their programs, in the order in which they run."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from probes.foreign.counters_c import ProgramPlace
from probes.kernel import bpf
from probes.kernel.netlink import route
from probes.kernel.tick_cache import cached
from probes.point import AttachType

TCX = "tcx"
AT_ONCE, TURNS = 16, 8
"""Interfaces whose chains are asked for at each reading; readings in which all are, at most."""
DIRECTIONS = {"ingress": AttachType.TCX_INGRESS, "egress": AttachType.TCX_EGRESS}


class ChainProgram(NamedTuple):
    """A program in its place. at: TCX, or a filter's priority and handle. direct: see Filter."""

    interface: str
    direction: str
    at: str
    place: ProgramPlace
    direct: bool = True


class Chains:
    """The chains of this network namespace, in the order in which their programs run."""

    def __init__(self) -> None:
        self._tcx = True
        self._newest = 0, 0
        self._turn = 0
        self._known: dict[tuple[int, str], Sequence[int]] = {}

    def list(self) -> list[ChainProgram]:
        """List the programs; without TCX where the kernel has none, or hides it (CAP_NET_ADMIN)."""
        filtered = {q.ifindex for q in cached(route.qdiscs) if q.parent == route.CLSACT}
        links = cached(route.links)
        self._ask(links)
        return [
            sitting
            for link in links
            for direction in DIRECTIONS
            for sitting in (
                *self._chain(link, direction),
                *(_filters(link, direction) if link.ifindex in filtered else ()),
            )
        ]

    def _ask(self, links: Sequence[route.Interface]) -> None:
        """Ask for the TCX programs of interfaces: of all where a program is new on this host.

        What came to an interface later than it was loaded, and what left one, is seen within
        `TURNS` readings where there are many.
        """
        known, self._known = self._known, {}
        turns = min(len(links) // AT_ONCE + 1, TURNS)
        self._turn = (self._turn + 1) % turns
        all_of_them = self._any_new()
        for number, link in enumerate(links):
            for direction in DIRECTIONS:
                chain = link.ifindex, direction
                if all_of_them or number % turns == self._turn or chain not in known:
                    self._known[chain] = self._asked(*chain)
                else:
                    self._known[chain] = known[chain]

    def _any_new(self) -> bool:
        """Return whether a program was loaded lately; True if that is not told.

        That is since the call before the last: it may have been attached a moment later.
        """
        try:
            newest = max(bpf.prog_ids(self._newest[-1]), default=self._newest[-1])
        except OSError:
            return True
        self._newest = self._newest[-1], newest
        return self._newest[0] != newest

    def _asked(self, ifindex: int, direction: str) -> Sequence[int]:
        if not self._tcx:
            return []
        try:
            return bpf.prog_query(ifindex, DIRECTIONS[direction])
        except OSError as refused:
            if refused.errno == errno.ENODEV:
                return []  # gone since it was listed
            if refused.errno not in (errno.EINVAL, errno.EPERM):
                raise
            self._tcx = False
            return []

    def _chain(self, link: route.Interface, direction: str) -> Iterator[ChainProgram]:
        for id in self._known[link.ifindex, direction]:
            place = ProgramPlace(id, link.ifindex, int(direction == "egress"))
            yield ChainProgram(link.name, direction, TCX, place)


def _filters(link: route.Interface, direction: str) -> Iterator[ChainProgram]:
    for filter in route.filters(link.ifindex, direction):
        if filter.program_id:
            at = f"prio {filter.priority} handle {filter.handle:#x}"
            place = ProgramPlace(filter.program_id, link.ifindex, int(direction == "egress"))
            yield ChainProgram(link.name, direction, at, place, filter.direct)
