"""What the kernel's errno means at each step, as one of `errors`, with a sentence and a remedy.

It was seen on Linux 5.10 to 7.3, not taken from documentation.
"""

from __future__ import annotations

import errno
import os
import re

from probes import point as points
from probes.attach.tcx import NO_TCX
from probes.errors import Busy, Denied, Gone, LoadFailed, ProbeError, Unsupported, short
from probes.kernel import bpf, cgroups, privilege
from probes.kernel.netlink import route
from probes.point import Point, ProgType
from probes.units import printable

_HELPER = re.compile(r"(?:unknown|invalid) func (\S+#\d+)")  # the verifier's words
_BY_FTRACE = points.KprobeMulti | points.KretprobeMulti
_TRAMPOLINES = points.Fentry | points.Fexit | points.FexitOf | points.Lsm


def needs(point: Point) -> tuple[int, ...]:
    """The capabilities that loading and attaching at this point take."""
    match point:
        case points.XdpLink() | points.XdpNetlink() | points.TcxLink() | points.Clsact():
            return privilege.BPF, privilege.NET_ADMIN
        case points.TcxBeside():
            return privilege.BPF, privilege.NET_ADMIN
        case points.CgroupLink() | points.CgroupAttach():
            return privilege.BPF, privilege.NET_ADMIN
        case points.SkMsgLink() | points.SkMsgAttach():
            return privilege.BPF, privilege.NET_ADMIN
        case points.PacketSocket():
            return privilege.BPF, privilege.NET_RAW
        case points.Uprobe() | points.Uretprobe():
            return privilege.BPF, privilege.PERFMON, privilege.SYS_ADMIN
        case _:
            return privilege.BPF, privilege.PERFMON


# -- loading ---------------------------------------------------------------------------------


def load_refused(point: Point, code: int, log: str) -> ProbeError:
    if short(code):
        return ProbeError(f"the kernel cannot load it just now: {os.strerror(code)}", errno=code)
    if code in (errno.EPERM, errno.EACCES) and not log:
        if isinstance(point, _TRAMPOLINES) and _loads_others():
            return Denied(
                "this kernel's policy refuses programs on trampolines (fentry, fexit, LSM)",
                errno=code,
            )
        why, remedy = privilege.why_not(*needs(point))
        return Denied(f"the kernel refused to load it: {why}", errno=code, remedy=remedy)
    verdicts = (errno.EPERM, errno.EACCES, errno.EINVAL)
    if log and code in verdicts and privilege.missing(privilege.PERFMON):
        # Without it no program may calculate with pointers, or call what reads memory.
        why, remedy = privilege.why_not(privilege.PERFMON)
        return Denied(f"the verifier refused it: {why}", errno=code, remedy=remedy)
    if code in (errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP, bpf.ENOTSUPP):
        if (helper := _HELPER.search(log)) and not _hides_memory(helper[1]):
            why = f"this kernel does not let such a program call the helper {helper[1]}"
            return Unsupported(why, errno=code)
        if not log or "not supported" in log:
            return Unsupported("this kernel does not take such a program", errno=code)
    if isinstance(point, points.FexitOf):
        why = "the kernel does not let it be followed"
        return Unsupported(f"{why}: {_last_words(log)}" if log else why, errno=code)
    if code == errno.ENOENT and isinstance(point, points.Fentry | points.Fexit):
        return Unsupported(f"this kernel has no code of {point.function}", errno=code)
    if code == errno.EINVAL and privilege.lockdown() == "confidentiality":
        why, remedy = privilege.why_not(*needs(point))
        return Denied(f"{why}: no program may read its memory", errno=code, remedy=remedy)
    return LoadFailed(
        f"the verifier refused the program ({os.strerror(code)}): please report it with the log",
        errno=code,
        log=log,
    )


def _last_words(log: str) -> str:
    """What the verifier stumbled over, without its statistics."""
    lines = [line for line in log.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("processed ", "verification time"))]
    return (said or lines)[-1].strip().rstrip(".")


def _loads_others() -> bool:
    """Whether programs of another kind for tracing can be loaded."""
    try:
        os.close(bpf.prog_load(ProgType.RAW_TRACEPOINT, bpf.exit_with(0)))
    except OSError:
        return False
    return True


def _hides_memory(helper: str) -> bool:
    """Whether the kernel takes this helper away because it is locked down."""
    return "probe_read" in helper and privilege.lockdown() == "confidentiality"


# -- attaching -------------------------------------------------------------------------------


def attach_refused(code: int, what: str, point: Point, ifindex: int = 0) -> ProbeError:
    match code:
        case errno.EBUSY | errno.EEXIST if ifindex:
            return Busy(f"{_who(ifindex)} is attached there", errno=code)
        case errno.EBUSY | errno.EEXIST:
            return Busy(f"somebody else's program is attached to {what}", errno=code)
        case errno.ENODEV | errno.ENXIO if not isinstance(point, points.Samples):
            return Gone("the interface is not there any more", errno=code)
        case errno.EPERM if isinstance(point, points.CgroupLink | points.CgroupAttach):
            if not privilege.missing(*needs(point)):
                return Busy(f"{_exclusive(point)} to the root cgroup", errno=code)
        case errno.ENOENT | errno.EOPNOTSUPP | errno.ENODEV if isinstance(point, points.Samples):
            return Unsupported(f"this machine has no {what}", errno=code)
        case errno.EINVAL | errno.EIO if isinstance(point, points.Uprobe | points.Uretprobe):
            return Unsupported(f"this kernel does not let {what} be probed", errno=code)
        case errno.ENOENT | errno.ERANGE | errno.ESTALE if isinstance(point, points.TcxBeside):
            full = code == errno.ERANGE
            why = "its chain is full" if full else "it is not in its chain any more"
            return Unsupported(why, errno=code)
        case errno.ENOENT:
            return Unsupported(f"this kernel has no {what}", errno=code)
        case errno.EINVAL if isinstance(point, points.TcxLink):
            return Unsupported(NO_TCX, errno=code)
        case errno.EINVAL if isinstance(point, points.CgroupLink):
            why = "links to cgroups came with Linux 5.7: this kernel has none"
            return Unsupported(why, errno=code)
        case errno.EINVAL if isinstance(point, points.SkMsgLink):
            why = "links to sockhashes came with Linux 6.12: this kernel has none"
            return Unsupported(why, errno=code)
        case errno.EOPNOTSUPP if isinstance(point, _BY_FTRACE):
            return Unsupported("this kernel is built without fprobes", errno=code)
        case errno.EINVAL if isinstance(point, _BY_FTRACE):
            why = "links to functions came with Linux 5.18: this kernel has none"
            return Unsupported(why, errno=code)
        case errno.ESRCH if isinstance(point, _BY_FTRACE):
            return Unsupported(f"ftrace does not see the {what}", errno=code)
        case errno.EINVAL if isinstance(point, _TRAMPOLINES):
            return Unsupported(f"this kernel attaches no such program to the {what}", errno=code)
        case errno.EINVAL if isinstance(point, points.RawTracepoint | points.BtfTracepoint):
            return Unsupported(f"this kernel attaches no such program to the {what}", errno=code)
        case errno.EINVAL if isinstance(point, points.Kprobe | points.Kretprobe):
            return Unsupported(f"this kernel does not let the {what} be probed", errno=code)
        case errno.EADDRNOTAVAIL if isinstance(point, points.Kprobe | points.Kretprobe):
            return Unsupported(f"this kernel has several times the {what}", errno=code)
        case _ if isinstance(point, points.XdpLink) and code in _XDP_REFUSED:
            return _xdp_refused(code, what, ifindex)
    if short(code):
        return ProbeError(
            f"the kernel cannot attach to {what} just now: {os.strerror(code)}", errno=code
        )
    if code in (errno.EPERM, errno.EACCES):
        why, remedy = privilege.why_not(*needs(point))
        return Denied(f"the kernel refused {what}: {why}", errno=code, remedy=remedy)
    return Unsupported(f"{what} is not supported here", errno=code)


_XDP_REFUSED = {
    errno.EOPNOTSUPP: "this interface's driver has no {what}",
    errno.ERANGE: "the MTU is too large for {what} ({mtu}; a veth's peer counts too)",
    errno.EINVAL: "the driver takes no {what} as it is set up (MTU {mtu}, which may be too large)",
    errno.ENOMEM: "the driver has no memory or no free queues for {what}",
    errno.ENOSPC: "{what} needs more receive queues (a veth: as many as its peer sends by)",
}
"""What drivers answer. That the kernel has links for XDP at all is known by then."""
_XDP_REMEDY = {
    errno.ERANGE: "For native XDP: ip link set dev {name} mtu 1500, and the peer's.",
    errno.EINVAL: "For native XDP: a smaller MTU, no LRO; the kernel's log may say what else.",
    errno.ENOMEM: "For native XDP: fewer channels (ethtool -L), or free memory.",
    errno.ENOSPC: "For native XDP: more receive queues (ethtool -L {name} rx N).",
}


def _xdp_refused(code: int, what: str, ifindex: int) -> Unsupported:
    interface = route.link(ifindex)
    mtu, name = (interface.mtu, printable(interface.name)) if interface else ("unknown", "IFACE")
    why = _XDP_REFUSED[code].format(what=what, mtu=mtu)
    return Unsupported(why, errno=code, remedy=_XDP_REMEDY.get(code, "").format(name=name))


def _who(ifindex: int) -> str:
    """The foreign XDP program on an interface, in words."""
    interface = route.link(ifindex)
    if interface is None or not interface.xdp_programs:
        return "somebody else's program"
    mode, id = interface.xdp_programs[0]
    return f"the XDP program {printable(bpf.prog_name(id) or 'unknown')}#{id} ({mode})"


def _exclusive(point: points.CgroupLink | points.CgroupAttach) -> str:
    """The foreign program that lets nobody beside it, in words. It may be attached above us."""
    with cgroups.opened() as cgroup:
        try:
            ids = bpf.prog_query(cgroup, point.attach_type)
            ids = ids or bpf.prog_query(cgroup, point.attach_type, effective=True)
        except OSError:
            ids = []
    names = [f"{printable(bpf.prog_name(id) or 'unknown')}#{id}" for id in ids]
    whose = f"the program {', '.join(names)}," if names else "a program"
    return f"{whose} that tolerates none beside it is attached"


def foreign_xdp(ifindex: int) -> Busy | None:
    """The refusal to expect when somebody's XDP program is on the interface already."""
    interface = route.link(ifindex)
    if interface is None or not interface.xdp_programs:
        return None
    return Busy(f"{_who(ifindex)} is attached there", errno=errno.EBUSY)


def perf_refused(code: int, what: str, point: Point) -> ProbeError:
    if (
        code in (errno.EACCES, errno.EPERM)
        and (paranoid := privilege.sysctl("kernel.perf_event_paranoid")) is not None
        and paranoid > 2
        and privilege.missing(privilege.PERFMON)
    ):
        return Denied(
            f"kernel.perf_event_paranoid={paranoid} refuses {what}",
            errno=code,
            remedy="Run as root, grant CAP_PERFMON, or sysctl kernel.perf_event_paranoid=2.",
        )
    return attach_refused(code, what, point)
