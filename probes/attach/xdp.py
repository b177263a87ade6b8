"""XDP: by a bpf_link, and through netlink. Nobody's program is ever replaced."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from probes.attach import handle, persistent
from probes.attach.handle import Handle, by_link
from probes.attach.refusals import takes_links
from probes.errors import Busy, ProbeError, Unsupported
from probes.kernel import bpf, capabilities
from probes.kernel.netlink import route, xdp
from probes.point import AttachType, Loading, Point, ProgType
from probes.units import printable

_FLAGS = {"generic": 1 << 1, "native": 1 << 2}  # XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE
_REFUSED = {
    errno.EOPNOTSUPP: "this interface's driver has no {what}",
    errno.ERANGE: "the MTU is too large for {what} ({mtu}; a veth's peer counts too)",
    errno.EINVAL: "the driver refuses {what} as it is configured (MTU {mtu} may be too large)",
    errno.ENOMEM: "the driver has no memory or no free queues for {what}",
    errno.ENOSPC: "{what} needs more receive queues (a veth: as many as its peer has to send)",
}
"""Drivers' answers. That the kernel has XDP links at all is known by then."""
_REMEDY = {
    errno.ERANGE: "For native XDP: ip link set dev {name} mtu 1500, and the peer's.",
    errno.EINVAL: "For native XDP: a smaller MTU, no LRO; the kernel's log may say what else.",
    errno.ENOMEM: "For native XDP: fewer channels (ethtool -L), or free memory.",
    errno.ENOSPC: "For native XDP: more receive queues (ethtool -L {name} rx N).",
}


class _OnInterface(Point):
    """A program on the target interface. mode: native or generic."""

    __slots__ = ()

    mode: str

    needs = capabilities.BPF, capabilities.NET_ADMIN
    neutral = 2  # XDP_PASS
    seat = "xdp"

    def loading(self) -> Loading:
        return Loading(ProgType.XDP)

    def check(self, ifindex: int) -> None:
        """Raise Busy where somebody's program is on the interface already."""
        interface = route.link(ifindex) if ifindex else None
        if interface is not None and interface.xdp_programs:
            raise Busy(f"{xdp.holder(ifindex)} is already attached", errno=errno.EBUSY)

    def rehearse(self, prog_fd: int, ifindex: int) -> str:
        if self.mode == "generic":
            return ""
        if not ifindex:
            return "depends on the interface's driver"
        return "only attaching shows whether the driver supports native XDP"


@dataclass(frozen=True, slots=True)
class XdpLink(_OnInterface):
    """XDP on the target interface through a bpf_link. Linux 5.9. mode: native or generic."""

    mode: str

    def check(self, ifindex: int) -> None:
        takes_links("XDP (Linux 5.9)")
        _OnInterface.check(self, ifindex)

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        flags = _FLAGS[self.mode]
        return by_link(
            lambda: bpf.link_create(prog_fd, ifindex, AttachType.XDP, flags=flags),
            self,
            f"{self.mode} XDP",
            ifindex,
            forced=True,
        )

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code in (errno.EBUSY, errno.EEXIST):
            return Busy(f"{xdp.holder(ifindex)} is already attached", errno=code)
        if code not in _REFUSED:
            return None
        interface = route.link(ifindex)
        mtu, name = (
            (interface.mtu, printable(interface.name)) if interface else ("unknown", "IFACE")
        )
        why, remedy = _REFUSED[code].format(what=what, mtu=mtu), _REMEDY.get(code, "")
        return Unsupported(why, errno=code, remedy=remedy.format(name=name))


@dataclass(frozen=True, slots=True)
class XdpNetlink(_OnInterface):
    """XDP on the target interface through netlink, never replacing. Outlives the process."""

    mode: str

    lasting = True

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        mode, id = self.mode, bpf.prog_info(prog_fd).id
        detach = persistent.registry().attach_xdp(ifindex, prog_fd, mode)
        return Handle(detach, lambda: _there(ifindex, mode, id), handle.ASK_SECONDS)


def _there(ifindex: int, mode: str, id: int) -> bool:
    interface = route.link(ifindex)
    return interface is not None and (mode, id) in interface.xdp_programs
