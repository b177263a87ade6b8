"""TC by a clsact qdisc and a direct-action filter, for kernels before TCX (Linux 6.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from probes.attach import handle, persistent
from probes.attach.handle import Handle
from probes.kernel import bpf, capabilities
from probes.kernel.netlink import clsact, route
from probes.point import PROGRAM_PREFIX, Loading, Point, ProgType


@dataclass(frozen=True, slots=True)
class Clsact(Point):
    """TC on the target interface by a clsact qdisc and a direct-action filter. Outlives us."""

    direction: str

    needs = capabilities.BPF, capabilities.NET_ADMIN
    neutral = -1  # TC_ACT_UNSPEC
    lasting = True

    def loading(self) -> Loading:
        return Loading(ProgType.SCHED_CLS)

    def check(self, ifindex: int) -> None:
        if self.direction == "egress" and ifindex and clsact.qdisc(ifindex) == "ingress":
            raise clsact.no_egress()

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        way, id = self.direction, bpf.prog_info(prog_fd).id
        name = f"{PROGRAM_PREFIX}{way}"
        detach = persistent.registry().attach_clsact(ifindex, way, prog_fd, name)
        return Handle(detach, lambda: _there(ifindex, way, id), handle.ASK_SECONDS)

    def rehearse(self, prog_fd: int, ifindex: int) -> str:
        return ""  # a qdisc would be seen


def _there(ifindex: int, direction: str, id: int) -> bool:
    return any(filter.program_id == id for filter in route.filters(ifindex, direction))
