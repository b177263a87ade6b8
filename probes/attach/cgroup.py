"""The root cgroup (v2): by a bpf_link, and beside others without one."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from probes.attach import handle, persistent
from probes.attach.handle import Handle, by_link
from probes.attach.refusals import attach_refused, takes_links
from probes.errors import Busy, ProbeError, Unsupported
from probes.kernel import bpf, capabilities, cgroups
from probes.point import AttachType, Loading, Point, ProgType
from probes.units import printable

_TYPES = {
    AttachType.CGROUP_SOCK_OPS: ProgType.SOCK_OPS,
    AttachType.CGROUP_INET_INGRESS: ProgType.CGROUP_SKB,
    AttachType.CGROUP_INET_EGRESS: ProgType.CGROUP_SKB,
    AttachType.CGROUP_INET_SOCK_CREATE: ProgType.CGROUP_SOCK,
}


class _OnRoot(Point):
    """A program on the root cgroup."""

    __slots__ = ()

    attach_type: AttachType

    needs = capabilities.BPF, capabilities.NET_ADMIN
    neutral = 1
    seat = "cgroup"

    def loading(self) -> Loading:
        kind = _TYPES.get(self.attach_type, ProgType.CGROUP_SOCK_ADDR)
        return Loading(kind, self.attach_type)

    def check(self, ifindex: int) -> None:
        with cgroups.opened():
            pass

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code == errno.EPERM and not capabilities.missing(*self.needs):
            return Busy(_exclusive(self.attach_type), errno=code)
        return None


@dataclass(frozen=True, slots=True)
class CgroupLink(_OnRoot):
    """A program on the root cgroup (v2) through a bpf_link. Linux 5.7."""

    attach_type: AttachType

    def check(self, ifindex: int) -> None:
        takes_links("cgroups (Linux 5.7)")
        with cgroups.opened():
            pass

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        with cgroups.opened() as cgroup:
            return by_link(
                lambda: bpf.link_create(prog_fd, cgroup, self.attach_type),
                self,
                "link to the root cgroup",
                forced=True,
            )

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code == errno.EINVAL:
            why = "this kernel has no links to cgroups (Linux 5.7)"
            return Unsupported(why, errno=code)
        return _OnRoot.explain(self, code, what, ifindex)


@dataclass(frozen=True, slots=True)
class CgroupAttach(_OnRoot):
    """A program on the root cgroup beside others (BPF_F_ALLOW_MULTI). Outlives the process."""

    attach_type: AttachType

    lasting = True

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        root, id = cgroups.root(), bpf.prog_info(prog_fd).id
        if root is None:
            raise cgroups.not_mounted()
        try:
            detach = persistent.registry().attach_cgroup(root, self.attach_type, prog_fd)
        except OSError as refused:
            what = "program on the root cgroup"
            raise attach_refused(refused.errno or 0, what, self) from None
        return Handle(detach, lambda: _there(self.attach_type, id), handle.ASK_SECONDS)

    def rehearse(self, prog_fd: int, ifindex: int) -> str:
        """Raise Busy where somebody's program allows none beside it, which a link meets as well."""
        try:
            CgroupLink(self.attach_type).attach(prog_fd, 0, {})()
        except Unsupported:
            pass  # links came to cgroups later: only attaching tells
        return ""


def _there(kind: AttachType, id: int) -> bool:
    with cgroups.opened() as cgroup:
        return id in bpf.prog_query(cgroup, kind)


def _exclusive(kind: AttachType) -> str:
    """Say which foreign program allows none beside it. It may be attached above us."""
    with cgroups.opened() as cgroup:
        try:
            ids = bpf.prog_query(cgroup, kind)
            ids = ids or bpf.prog_query(cgroup, kind, effective=True)
        except OSError:
            ids = []
    names = [f"{printable(bpf.prog_name(id) or 'unknown')}#{id}" for id in ids]
    whose = f"the program {', '.join(names)}" if names else "a program"
    return f"{whose} on the root cgroup allows no other beside it"
