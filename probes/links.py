"""A point, a program, and how the one is attached to the other.

`load` and `attach` turn the kernel's errno into one of `errors`, with a sentence. What each
errno means at each step was seen on Linux 5.10 to 7.3, not taken from documentation.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from probes import (
    bpf,
    btf,
    cgroups,
    lasting,
    netlink,
    points,
    privilege,
    symbols,
    tracefs,
    uprobes,
)
from probes.errors import Busy, Denied, Gone, LoadFailed, ProbeError, Unsupported
from probes.points import AttachType, Point, ProgType
from probes.tcx import NO_TCX
from probes.units import printable

_HELPER = re.compile(r"(?:unknown|invalid) func (\S+#\d+)")  # the verifier's words
PROGRAM_PREFIX = points.PROGRAM_PREFIX
_LOG, MOST_LOG = 1 << 20, 16384
"""Characters of the verifier's words that are kept: the last ones say what it stumbled over."""
XDP_FLAGS = {"generic": 1 << 1, "native": 1 << 2}  # XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE
ASK_SECONDS = 5.0
"""How often netlink is asked whether what was attached through it is still there."""
_SO_ATTACH_BPF, _ETH_P_ALL = 50, 3  # include/uapi/{asm-generic/socket,linux/if_ether}.h
_TCX = {"ingress": AttachType.TCX_INGRESS, "egress": AttachType.TCX_EGRESS}
_OF_CGROUPS = {
    AttachType.CGROUP_SOCK_OPS: ProgType.SOCK_OPS,
    AttachType.CGROUP_INET_INGRESS: ProgType.CGROUP_SKB,
    AttachType.CGROUP_INET_EGRESS: ProgType.CGROUP_SKB,
    AttachType.CGROUP_INET_SOCK_CREATE: ProgType.CGROUP_SOCK,
}
TRACEFS = tracefs.ROOTS
MOUNT_TRACEFS = "As root: mount -t tracefs tracefs /sys/kernel/tracing"
# Not below /sys, where a container may make no directory.
MOUNT_CGROUP2 = "As root: mkdir -p /run/cgroup2 && mount -t cgroup2 cgroup2 /run/cgroup2"


_BY_FTRACE = points.KprobeMulti | points.KretprobeMulti
_TRAMPOLINES = points.Fentry | points.Fexit | points.FexitOf | points.Lsm


class Attached:
    """What holds a program at its point. Calling it detaches; twice does no harm.

    there: asks the kernel whether it is still attached, at most every so many seconds. None:
    nobody but us can detach it. link: its fd, where a bpf_link holds it.
    """

    def __init__(
        self,
        detach: Callable[[], None],
        there: Callable[[], bool] | None = None,
        seconds: float = 0.0,
        *,
        link: int | None = None,
    ) -> None:
        self.link = link
        self._detach = [detach]
        self._there = there
        self._seconds = seconds
        self._asked = time.monotonic()

    def __call__(self) -> None:
        if self._detach:
            self._detach[0]()
            self._detach.clear()  # only now: where it raised, there is still something to detach

    def taken(self) -> bool:
        """Whether somebody else has detached it or put something in its place.

        Raises OSError or ProbeError where that could not be asked.
        """
        now = time.monotonic()
        if self._there is None or now - self._asked < self._seconds:
            return False
        self._asked = now
        return not self._there()


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


def load(point: Point, insns: bytes, name: str) -> int:
    """Loads a program for its point; returns its fd.

    Raises Unsupported (no such type, function or tracepoint here), Denied, or LoadFailed with
    the verifier's words.
    """
    prog_type, expected, btf_id = kind(point)
    other = point.program if isinstance(point, points.FexitOf) else 0
    how = {
        "name": PROGRAM_PREFIX + name,
        "expected_attach_type": expected,
        "attach_prog_fd": other,
    }
    try:
        return bpf.prog_load(prog_type, insns, attach_btf_id=btf_id, **how)  # type: ignore[arg-type]
    except OSError as first:
        refused = first
    # Once more, for the verifier's words: asking for them always would cost 1 MB for each load.
    try:
        return bpf.prog_load(prog_type, insns, attach_btf_id=btf_id, log=_LOG, **how)  # type: ignore[arg-type]
    except bpf.VerifierError as error:
        log = error.log.strip()[-MOST_LOG:]
    except OSError:
        log = ""
    raise _load_refused(point, refused.errno or 0, log)


def kind(point: Point) -> tuple[int, int, int]:
    """(program type, expected attach type, BTF id) to load with. Raises Unsupported."""
    match point:
        case points.RawTracepoint():
            return ProgType.RAW_TRACEPOINT, 0, 0
        case points.BtfTracepoint(name):
            id = _typed(btf.tracepoint(name), f"tracepoint {name}")
            return ProgType.TRACING, AttachType.TRACE_RAW_TP, id
        case points.Fentry(function):
            return ProgType.TRACING, AttachType.TRACE_FENTRY, _traced(function)
        case points.Fexit(function):
            return ProgType.TRACING, AttachType.TRACE_FEXIT, _traced(function)
        case points.FexitOf(_, id):
            if not id:
                raise Unsupported("it was loaded without type information (BTF)")
            return ProgType.TRACING, AttachType.TRACE_FEXIT, id
        case points.Tracepoint():
            return ProgType.TRACEPOINT, 0, 0
        case points.Kprobe() | points.Kretprobe() | points.Uprobe() | points.Uretprobe():
            return ProgType.KPROBE, 0, 0
        case points.KprobeMulti() | points.KretprobeMulti():
            return ProgType.KPROBE, AttachType.TRACE_KPROBE_MULTI, 0
        case points.Samples():
            return ProgType.PERF_EVENT, 0, 0
        case points.XdpLink() | points.XdpNetlink():
            return ProgType.XDP, 0, 0
        case points.TcxLink() | points.TcxBeside() | points.Clsact():
            return ProgType.SCHED_CLS, 0, 0
        case points.PacketSocket():
            return ProgType.SOCKET_FILTER, 0, 0
        case points.Lsm(hook):
            id = _typed(btf.function(f"bpf_lsm_{hook}"), f"security hook {hook} for programs")
            return ProgType.LSM, AttachType.LSM_MAC, id
        case points.SkMsgLink() | points.SkMsgAttach():
            return ProgType.SK_MSG, AttachType.SK_MSG_VERDICT, 0
        case points.Iterator(name):
            id = _typed(btf.function(f"bpf_iter_{name}"), f"iterator over {name}")
            return ProgType.TRACING, AttachType.TRACE_ITER, id
        case points.CgroupLink(kind) | points.CgroupAttach(kind):
            return _OF_CGROUPS.get(kind, ProgType.CGROUP_SOCK_ADDR), kind, 0


def _traced(function: str) -> int:
    """The BTF id of a function that a trampoline sees whole. Raises Unsupported."""
    symbol = whole(function, as_declared=True)
    id = _typed(btf.function(function), f"type information on the function {function}")
    if symbol != function:
        raise Unsupported(f"this kernel has {function} as {symbol} only, which takes a kprobe")
    return id


def _typed(id: int | None, what: str) -> int:
    if id is not None:
        return id
    if not btf.available():
        raise btf.missing()
    raise Unsupported(f"this kernel has no {what}", errno=errno.ENOENT)


def _load_refused(point: Point, code: int, log: str) -> ProbeError:
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


def attach(
    point: Point, prog_fd: int, ifindex: int, maps: Mapping[str, int] | None = None
) -> Attached:
    """Attaches a loaded program; returns what detaches it.

    maps: fds of the maps of the program's source, for points that are at one. Raises Unsupported,
    Denied, Busy (somebody else's program is there) or Gone.
    """
    match point:
        case points.RawTracepoint(name):
            return _link(
                lambda: bpf.raw_tracepoint_open(prog_fd, name), f"tracepoint {name}", point
            )
        case points.BtfTracepoint(name):
            what = f"typed tracepoint {name}"
            return _link(lambda: bpf.raw_tracepoint_open(prog_fd), what, point)
        case points.Fentry(name) | points.Fexit(name):
            return _link(lambda: bpf.raw_tracepoint_open(prog_fd), f"function {name}", point)
        case points.Lsm(hook):
            return _link(lambda: bpf.raw_tracepoint_open(prog_fd), f"security hook {hook}", point)
        case points.FexitOf():
            return _link(lambda: bpf.raw_tracepoint_open(prog_fd), "program", point)
        case points.Tracepoint(category, name):
            id = tracepoint_id(category, name)
            return _perf(prog_fd, point, f"tracepoint {category}:{name}", 2, id)
        case points.Kprobe() | points.Kretprobe():
            return _kprobe(prog_fd, point)
        case points.KprobeMulti(name, reads) | points.KretprobeMulti(name, reads):
            symbol = whole(name, as_declared=reads)
            returns = isinstance(point, points.KretprobeMulti)
            multi = AttachType.TRACE_KPROBE_MULTI
            return _link(
                lambda: bpf.link_create_kprobe(prog_fd, multi, symbol, returns=returns),
                f"function {symbol}",
                point,
            )
        case points.Uprobe() | points.Uretprobe():
            return _uprobe(prog_fd, point)
        case points.Samples():
            return _samples(prog_fd, point)
        case points.XdpLink(mode):
            return _link(
                lambda: bpf.link_create(prog_fd, ifindex, AttachType.XDP, flags=XDP_FLAGS[mode]),
                f"{mode} XDP",
                point,
                ifindex,
            )
        case points.TcxLink(direction):
            # First of all, so that it counts also what somebody's program behind it drops.
            return _link(
                lambda: bpf.link_create(prog_fd, ifindex, _TCX[direction], flags=bpf.F_BEFORE),
                "TCX",
                point,
                ifindex,
            )
        case points.TcxBeside(direction, index, program, behind):
            flags = bpf.F_ID | (bpf.F_AFTER if behind else bpf.F_BEFORE)
            kind = _TCX[direction]
            return _link(
                lambda: bpf.link_create(prog_fd, index, kind, flags=flags, beside=program),
                "TCX",
                point,
            )
        case points.PacketSocket():
            return _packet_socket(prog_fd, point, ifindex)
        case points.SkMsgLink(name) | points.SkMsgAttach(name):
            assert maps is not None
            return _sk_msg(prog_fd, point, maps[name])
        case points.Iterator(name):
            kind = AttachType.TRACE_ITER
            return _link(lambda: bpf.link_create(prog_fd, 0, kind), f"iterator over {name}", point)
        case points.CgroupLink(kind):
            with root_cgroup() as cgroup:
                return _link(
                    lambda: bpf.link_create(prog_fd, cgroup, kind), "link to the root cgroup", point
                )
        case _:
            return _lasting(point, prog_fd, ifindex)


def _link(create: Callable[[], int], what: str, point: Point, ifindex: int = 0) -> Attached:
    try:
        fd = create()
    except OSError as refused:
        raise _attach_refused(refused.errno or 0, what, point, ifindex) from None
    # Only these kinds can be detached by force, and then they say so.
    forced = isinstance(point, points.XdpLink | points.TcxLink | points.CgroupLink)
    there = (lambda: bpf.link_target(fd) != 0) if forced else None
    return Attached(lambda: os.close(fd), there, link=fd)


def _packet_socket(prog_fd: int, point: Point, ifindex: int) -> Attached:
    """The filter is there before the socket sees anything: it has no protocol until then."""
    try:
        held = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except OSError as refused:
        raise _attach_refused(refused.errno or 0, "packet socket", point, ifindex) from None
    try:
        held.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, prog_fd)
        if ifindex:
            held.bind((socket.if_indextoname(ifindex), _ETH_P_ALL))
    except OSError as refused:
        held.close()
        raise _attach_refused(refused.errno or 0, "packet socket", point, ifindex) from None
    return Attached(held.close)


def _sk_msg(prog_fd: int, point: points.SkMsgLink | points.SkMsgAttach, map_fd: int) -> Attached:
    """Neither outlives the map, which goes with the rung."""
    verdict = AttachType.SK_MSG_VERDICT
    if isinstance(point, points.SkMsgLink):
        return _link(lambda: bpf.link_create(prog_fd, map_fd, verdict), "link to a sockhash", point)
    try:
        bpf.prog_attach(prog_fd, map_fd, verdict)
    except OSError as refused:
        raise _attach_refused(refused.errno or 0, "sockhash", point) from None
    return Attached(lambda: bpf.prog_detach(prog_fd, map_fd, verdict))


def _attach_refused(code: int, what: str, point: Point, ifindex: int = 0) -> ProbeError:
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
    interface = netlink.link(ifindex)
    mtu, name = (interface.mtu, printable(interface.name)) if interface else ("unknown", "IFACE")
    why = _XDP_REFUSED[code].format(what=what, mtu=mtu)
    return Unsupported(why, errno=code, remedy=_XDP_REMEDY.get(code, "").format(name=name))


def _who(ifindex: int) -> str:
    """The foreign XDP program on an interface, in words."""
    interface = netlink.link(ifindex)
    if interface is None or not interface.xdp_programs:
        return "somebody else's program"
    mode, id = interface.xdp_programs[0]
    return f"the XDP program {printable(bpf.prog_name(id) or 'unknown')}#{id} ({mode})"


def _exclusive(point: points.CgroupLink | points.CgroupAttach) -> str:
    """The foreign program that lets nobody beside it, in words. It may be attached above us."""
    with root_cgroup() as cgroup:
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
    interface = netlink.link(ifindex)
    if interface is None or not interface.xdp_programs:
        return None
    return Busy(f"{_who(ifindex)} is attached there", errno=errno.EBUSY)


# -- tracepoints and kprobes, through perf ------------------------------------------------------


def tracepoint_id(category: str, name: str) -> int:
    """A tracepoint's number from tracefs. Raises Unsupported or Denied, with what to do."""
    for root in TRACEFS:
        try:
            return int((root / "events" / category / name / "id").read_text())
        except FileNotFoundError:
            continue
        except PermissionError:
            raise Denied(
                f"{root} may not be read by this user",
                errno=errno.EACCES,
                remedy="Run as root, or grant CAP_DAC_READ_SEARCH.",
            ) from None
    if not any((root / "events").is_dir() for root in TRACEFS):
        raise Unsupported(
            "tracefs is not mounted",
            errno=errno.ENOENT,
            remedy=MOUNT_TRACEFS,
        )
    if privilege.lockdown() == "confidentiality":
        why, remedy = privilege.why_not()
        raise Denied(f"{why}, which hides tracepoints", errno=errno.ENOENT, remedy=remedy)
    raise Unsupported(f"this kernel has no tracepoint {category}:{name}", errno=errno.ENOENT)


def _perf(
    prog_fd: int,
    point: Point,
    what: str,
    kind: int,
    config: int,
    place: bytes | None = None,
    **how: int,
) -> Attached:
    """place: the function's name or the file's path. how: as `bpf.perf_event_open` takes it."""
    name = ctypes.create_string_buffer(place) if place is not None else None
    try:
        config1 = ctypes.addressof(name) if name else 0
        fd = bpf.perf_event_open(kind, config, config1=config1, **how)
    except OSError as refused:
        raise _perf_refused(refused.errno or 0, what, point) from None
    try:
        bpf.perf_event_attach(fd, prog_fd)
    except OSError as refused:
        os.close(fd)
        raise _perf_refused(refused.errno or 0, what, point) from None
    return Attached(lambda: os.close(fd))


def _several(attach: Iterable[Callable[[], Attached]]) -> Attached:
    """All of them, or none."""
    with ExitStack() as stack:
        for each in attach:
            stack.callback(each())
        held = stack.pop_all()
    return Attached(held.close)


def _uprobe(prog_fd: int, point: points.Uprobe | points.Uretprobe) -> Attached:
    pmu, offsets = uprobes.pmu(), uprobes.offsets(point)
    config = uprobes.RETURNS if isinstance(point, points.Uretprobe) else 0
    path = os.fsencode(point.path)
    what = f"{point.symbol} of {printable(point.path)}"
    return _several(
        partial(_perf, prog_fd, point, what, pmu, config, path, config2=offset)
        for offset in offsets
    )


_COUNTERS = {"cycles": (0, 0), "cpu-clock": (1, 0)}
"""perf's type and number: PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES and so on."""


def _samples(prog_fd: int, point: points.Samples) -> Attached:
    kind, config = _COUNTERS[point.event]
    what = f"counter {point.event}"
    return _several(
        partial(_perf, prog_fd, point, what, kind, config, cpu=cpu, hertz=point.hertz)
        for cpu in online_cpus()
    )


def online_cpus() -> list[int]:
    """The numbers of the CPUs that run now ("0-3,8" in sysfs)."""
    text = Path("/sys/devices/system/cpu/online").read_text()
    ranges = [part.partition("-") for part in text.strip().split(",")]
    return [cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)]


def _perf_refused(code: int, what: str, point: Point) -> ProbeError:
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
    return _attach_refused(code, what, point)


def kprobe_symbol(point: points.Kprobe | points.Kretprobe) -> tuple[int, str]:
    """The kprobe PMU's number and the name the function has here. Raises Unsupported."""
    try:
        pmu = int(Path("/sys/bus/event_source/devices/kprobe/type").read_text())
    except FileNotFoundError:
        raise Unsupported("this kernel is built without kprobes", errno=errno.ENOENT) from None
    match point:
        case points.Kprobe(function, reads) | points.Kretprobe(function, reads):
            return pmu, whole(function, as_declared=reads)


def whole(function: str, *, as_declared: bool) -> str:
    """The one symbol that all calls of a function go through. Raises Unsupported.

    The compiler may have renamed it: the same code, but with other arguments (.isra.0,
    .constprop.0), which only a program that reads none can do with: as_declared=False. Where
    there are several symbols, a counter on one would miss the calls of the others; they may as
    well be different functions, so all of them together are no better.
    """
    found = symbols.copies(function)
    if found is None:
        return function  # no kallsyms to look at: the kernel will tell
    if not found:
        raise Unsupported(f"this kernel has no function {function}", errno=errno.ENOENT)
    if parts := [symbol for symbol in found if ".part." in symbol]:
        raise Unsupported(
            f"the compiler cut {function} to pieces: {parts[0]} is only a part of it, "
            "and the rest went into its callers"
        )
    if len(found) > 1:
        names = ", ".join(sorted(set(found)))
        raise Unsupported(
            f"this kernel has {len(found)} functions of that name ({names}): "
            "one of them would not see all calls"
        )
    (symbol,) = found
    if as_declared and (".isra." in symbol or ".constprop." in symbol):
        raise Unsupported(f"the compiler made {symbol} of {function}, with other arguments")
    return symbol


def _kprobe(prog_fd: int, point: points.Kprobe | points.Kretprobe) -> Attached:
    pmu, symbol = kprobe_symbol(point)
    returns = isinstance(point, points.Kretprobe)
    return _perf(prog_fd, point, f"function {symbol}", pmu, 1 if returns else 0, symbol.encode())


# -- cgroups ---------------------------------------------------------------------------------


def _no_cgroup() -> Unsupported:
    return Unsupported(
        "cgroup v2 is not mounted here",
        errno=errno.ENOENT,
        remedy=MOUNT_CGROUP2,
    )


@contextmanager
def root_cgroup() -> Iterator[int]:
    """An fd of the root cgroup. Raises Unsupported where cgroup v2 is not mounted."""
    root = cgroups.root()
    if root is None:
        raise _no_cgroup()
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


# -- what outlives the process ---------------------------------------------------------------


def _lasting(point: Point, prog_fd: int, ifindex: int) -> Attached:
    register = lasting.register()
    id = bpf.prog_info(prog_fd).id
    match point:
        case points.XdpNetlink(mode):
            detach = register.attach_xdp(ifindex, prog_fd, mode)
            return Attached(detach, lambda: _xdp_there(ifindex, mode, id), ASK_SECONDS)
        case points.Clsact(way):
            name = f"{PROGRAM_PREFIX}{way}"
            detach = register.attach_clsact(ifindex, way, prog_fd, name)
            return Attached(detach, lambda: _filter_there(ifindex, way, id), ASK_SECONDS)
        case points.CgroupAttach(kind):
            root = cgroups.root()
            if root is None:
                raise _no_cgroup()
            try:
                detach = register.attach_cgroup(root, kind, prog_fd)
            except OSError as refused:
                what = "program on the root cgroup"
                raise _attach_refused(refused.errno or 0, what, point) from None
            return Attached(detach, lambda: _cgroup_there(kind, id), ASK_SECONDS)
        case _:
            raise AssertionError(f"{point} does not outlive the process")


def _xdp_there(ifindex: int, mode: str, id: int) -> bool:
    interface = netlink.link(ifindex)
    return interface is not None and (mode, id) in interface.xdp_programs


def _filter_there(ifindex: int, direction: str, id: int) -> bool:
    return any(filter.program_id == id for filter in netlink.filters(ifindex, direction))


def _cgroup_there(kind: AttachType, id: int) -> bool:
    with root_cgroup() as cgroup:
        return id in bpf.prog_query(cgroup, kind)
