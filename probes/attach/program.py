"""A point, a program, and how the one is attached to the other."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping

from probes import point as points
from probes.attach import perf_event, persistent, uprobe
from probes.attach.handle import Attached
from probes.attach.refusals import attach_refused, load_refused
from probes.errors import Unsupported
from probes.kernel import bpf, btf, cgroups
from probes.kernel.netlink import route
from probes.point import AttachType, Point, ProgType

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


def load(point: Point, insns: bytes, name: str) -> int:
    """Loads a program for its point; returns its fd.

    Raises Unsupported (no such type, function or tracepoint here), Denied, LoadFailed with the
    verifier's words, or another ProbeError where the host is short of something.
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
    raise load_refused(point, refused.errno or 0, log)


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
        case points.Kprobe() | points.Kretprobe():
            return ProgType.KPROBE, 0, 0
        case points.Uprobe() | points.Uretprobe():
            return ProgType.KPROBE, AttachType.TRACE_UPROBE_MULTI if uprobe.by_link() else 0, 0
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
    symbol = perf_event.whole(function, as_declared=True)
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


def attach(
    point: Point, prog_fd: int, ifindex: int, maps: Mapping[str, int] | None = None
) -> Attached:
    """Attaches a loaded program; returns what detaches it.

    maps: fds of the maps of the program's source, for points that are at one. Raises Unsupported,
    Denied, Busy (somebody else's program is there), Gone, or another ProbeError where the host is
    short of something.
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
        case points.Tracepoint():
            return perf_event.tracepoint(prog_fd, point)
        case points.Kprobe() | points.Kretprobe():
            return perf_event.kprobe(prog_fd, point)
        case points.KprobeMulti(name, reads) | points.KretprobeMulti(name, reads):
            symbol = perf_event.whole(name, as_declared=reads)
            returns = isinstance(point, points.KretprobeMulti)
            multi = AttachType.TRACE_KPROBE_MULTI
            return _link(
                lambda: bpf.link_create_kprobe(prog_fd, multi, symbol, returns=returns),
                f"function {symbol}",
                point,
            )
        case points.Uprobe() | points.Uretprobe():
            return uprobe.attach(prog_fd, point)
        case points.Samples():
            return perf_event.samples(prog_fd, point)
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
            with cgroups.opened() as cgroup:
                return _link(
                    lambda: bpf.link_create(prog_fd, cgroup, kind), "link to the root cgroup", point
                )
        case _:
            return _lasting(point, prog_fd, ifindex)


def _link(create: Callable[[], int], what: str, point: Point, ifindex: int = 0) -> Attached:
    try:
        fd = create()
    except OSError as refused:
        raise attach_refused(refused.errno or 0, what, point, ifindex) from None
    # Only these kinds can be detached by force, and then they say so.
    forced = isinstance(point, points.XdpLink | points.TcxLink | points.CgroupLink)
    there = (lambda: bpf.link_target(fd) != 0) if forced else None
    return Attached(lambda: os.close(fd), there, link=fd)


def _packet_socket(prog_fd: int, point: Point, ifindex: int) -> Attached:
    """The filter is there before the socket sees anything: it has no protocol until then."""
    try:
        held = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except OSError as refused:
        raise attach_refused(refused.errno or 0, "packet socket", point, ifindex) from None
    try:
        held.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, prog_fd)
        if ifindex:
            held.bind((socket.if_indextoname(ifindex), _ETH_P_ALL))
    except OSError as refused:
        held.close()
        raise attach_refused(refused.errno or 0, "packet socket", point, ifindex) from None
    return Attached(held.close)


def _sk_msg(prog_fd: int, point: points.SkMsgLink | points.SkMsgAttach, map_fd: int) -> Attached:
    """Neither outlives the map, which goes with the rung."""
    verdict = AttachType.SK_MSG_VERDICT
    if isinstance(point, points.SkMsgLink):
        return _link(lambda: bpf.link_create(prog_fd, map_fd, verdict), "link to a sockhash", point)
    try:
        bpf.prog_attach(prog_fd, map_fd, verdict)
    except OSError as refused:
        raise attach_refused(refused.errno or 0, "sockhash", point) from None
    return Attached(lambda: bpf.prog_detach(prog_fd, map_fd, verdict))


# -- what outlives the process ---------------------------------------------------------------


def _lasting(point: Point, prog_fd: int, ifindex: int) -> Attached:
    register = persistent.register()
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
                raise cgroups.not_mounted()
            try:
                detach = register.attach_cgroup(root, kind, prog_fd)
            except OSError as refused:
                what = "program on the root cgroup"
                raise attach_refused(refused.errno or 0, what, point) from None
            return Attached(detach, lambda: _cgroup_there(kind, id), ASK_SECONDS)
        case _:
            raise AssertionError(f"{point} does not outlive the process")


def _xdp_there(ifindex: int, mode: str, id: int) -> bool:
    interface = route.link(ifindex)
    return interface is not None and (mode, id) in interface.xdp_programs


def _filter_there(ifindex: int, direction: str, id: int) -> bool:
    return any(filter.program_id == id for filter in route.filters(ifindex, direction))


def _cgroup_there(kind: AttachType, id: int) -> bool:
    with cgroups.opened() as cgroup:
        return id in bpf.prog_query(cgroup, kind)
