"""TC chains of this network namespace: their programs, in the order in which they run."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import NamedTuple

from probes.foreign.counters_c import ProgramPlace
from probes.kernel import bpf
from probes.kernel.netlink import route
from probes.point import AttachType
from probes.toolkit.tick_cache import cached

TCX = "tcx"
DIRECTIONS = {"ingress": AttachType.TCX_INGRESS, "egress": AttachType.TCX_EGRESS}


class ChainProgram(NamedTuple):
    """A program in its place. at: TCX, or a filter's priority and handle. direct: see Filter."""

    interface: str
    direction: str
    at: str
    place: ProgramPlace
    direct: bool = True


class Chains:
    """All chains of this network namespace, in the order in which their programs run."""

    def __init__(self) -> None:
        self._tcx = True

    def list(self) -> list[ChainProgram]:
        """List the programs; without TCX where the kernel has none, or hides it (CAP_NET_ADMIN)."""
        filtered = {q.ifindex for q in cached(route.qdiscs) if q.parent == route.CLSACT}
        return [
            sitting
            for link in cached(route.links)
            for direction in DIRECTIONS
            for sitting in (
                *self._chain(link, direction),
                *(_filters(link, direction) if link.ifindex in filtered else ()),
            )
        ]

    def _chain(self, link: route.Interface, direction: str) -> Iterator[ChainProgram]:
        if not self._tcx:
            return
        try:
            ids = bpf.prog_query(link.ifindex, DIRECTIONS[direction])
        except OSError as refused:
            if refused.errno == errno.ENODEV:
                return  # gone since it was listed
            if refused.errno not in (errno.EINVAL, errno.EPERM):
                raise
            self._tcx = False
            return
        for id in ids:
            place = ProgramPlace(id, link.ifindex, int(direction == "egress"))
            yield ChainProgram(link.name, direction, TCX, place)


def _filters(link: route.Interface, direction: str) -> Iterator[ChainProgram]:
    for filter in route.filters(link.ifindex, direction):
        if filter.program_id:
            at = f"prio {filter.priority} handle {filter.handle:#x}"
            place = ProgramPlace(filter.program_id, link.ifindex, int(direction == "egress"))
            yield ChainProgram(link.name, direction, at, place, filter.direct)
