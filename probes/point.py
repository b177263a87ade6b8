"""Attach points as data: what a rung's program is loaded as and where it goes.

Hooks name these; `attach.program` turns each into a real attachment. Numbers are those of
include/uapi/linux/bpf.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

PROGRAM_PREFIX = "ebpftop_"
"""Every program of ours starts like this, so that it is known in bpftool and after a crash."""


class ProgType(IntEnum):
    """enum bpf_prog_type."""

    SOCKET_FILTER = 1
    KPROBE = 2
    SCHED_CLS = 3
    TRACEPOINT = 5
    XDP = 6
    PERF_EVENT = 7
    CGROUP_SKB = 8
    CGROUP_SOCK = 9
    SOCK_OPS = 13
    SK_MSG = 16
    RAW_TRACEPOINT = 17
    CGROUP_SOCK_ADDR = 18
    TRACING = 26
    LSM = 29


class AttachType(IntEnum):
    """enum bpf_attach_type."""

    CGROUP_INET_INGRESS = 0
    CGROUP_INET_EGRESS = 1
    CGROUP_INET_SOCK_CREATE = 2
    CGROUP_SOCK_OPS = 3
    SK_MSG_VERDICT = 7
    CGROUP_INET4_BIND = 8
    CGROUP_INET6_BIND = 9
    CGROUP_INET4_CONNECT = 10
    CGROUP_INET6_CONNECT = 11
    CGROUP_UDP4_SENDMSG = 14
    CGROUP_UDP6_SENDMSG = 15
    CGROUP_UDP4_RECVMSG = 19
    CGROUP_UDP6_RECVMSG = 20
    TRACE_RAW_TP = 23
    TRACE_FENTRY = 24
    TRACE_FEXIT = 25
    TRACE_ITER = 28
    LSM_MAC = 27
    CGROUP_INET4_GETPEERNAME = 29
    CGROUP_INET6_GETPEERNAME = 30
    XDP = 37
    PERF_EVENT = 41
    TRACE_KPROBE_MULTI = 42
    TRACE_UPROBE_MULTI = 48
    TCX_INGRESS = 46
    TCX_EGRESS = 47


@dataclass(frozen=True, slots=True)
class RawTracepoint:
    """A tracepoint with its raw arguments. Linux 4.17; CAP_BPF and CAP_PERFMON."""

    name: str


@dataclass(frozen=True, slots=True)
class BtfTracepoint:
    """A tracepoint with typed arguments that are read directly (tp_btf). Linux 5.5, BTF."""

    name: str


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """A tracepoint through tracefs and perf_event_open. Linux 4.7; needs tracefs readable."""

    category: str
    name: str


@dataclass(frozen=True, slots=True)
class Fentry:
    """The entry of a kernel function, by trampoline. Linux 5.5 (arm64: 6.0), BTF."""

    function: str


@dataclass(frozen=True, slots=True)
class Fexit:
    """The exit of a kernel function, with its arguments and result. Linux 5.5, BTF."""

    function: str


@dataclass(frozen=True, slots=True)
class FexitOf:
    """The exit of somebody else's BPF program, with its context and verdict. Linux 5.6.

    program: its fd. function: the id of its main function in its own BTF, 0 where it has none.
    """

    program: int
    function: int


@dataclass(frozen=True, slots=True)
class Kprobe:
    """The entry of a kernel function, by the kprobe PMU. Linux 4.17, CONFIG_KPROBES.

    arguments: the program reads them. One that only counts can be attached to a copy that the
    compiler made, where they are others.
    """

    function: str
    arguments: bool = True


@dataclass(frozen=True, slots=True)
class Kretprobe:
    """The return of a kernel function, by the kprobe PMU. Linux 4.17, CONFIG_KPROBES.

    result: the program reads it, or what the call got. See `Kprobe.arguments`.
    """

    function: str
    result: bool = True


FEW_RETURNS = (
    "of calls that wait in the kernel some are not seen: there is room for few at a time (two for"
    " each CPU; ten at least where the kernel is preemptible)"
)
"""What programs at the return of a function miss but for those on trampolines, untold."""


@dataclass(frozen=True, slots=True)
class KprobeMulti:
    """The entry of a kernel function, by a bpf_link on ftrace. Linux 5.18, CONFIG_FPROBE.

    arguments: see `Kprobe`.
    """

    function: str
    arguments: bool = True


@dataclass(frozen=True, slots=True)
class KretprobeMulti:
    """The return of a kernel function, by a bpf_link on ftrace. Linux 5.18, CONFIG_FPROBE."""

    function: str
    result: bool = True


@dataclass(frozen=True, slots=True)
class Uprobe:
    """A place in a program or library, in every process that has it. Linux 4.17.

    path: as this process sees it (/proc/PID/root/... for a container's). offset: from the symbol.
    """

    path: str
    symbol: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Uretprobe:
    """The return of a function of a program or library, in every process. Linux 4.17.

    unsafe: also where an exception that is thrown through it would end the process; never in Go.
    """

    path: str
    symbol: str
    unsafe: bool = False


@dataclass(frozen=True, slots=True)
class Samples:
    """So many samples a second on each CPU, by a clock or by the processor's cycles. Linux 4.9.

    event: cycles (a hardware counter, which guests rarely have) or cpu-clock.
    """

    event: str
    hertz: int


@dataclass(frozen=True, slots=True)
class XdpLink:
    """XDP on the target interface through a bpf_link. Linux 5.9. mode: native or generic."""

    mode: str


@dataclass(frozen=True, slots=True)
class XdpNetlink:
    """XDP on the target interface through netlink, never replacing. Outlives the process."""

    mode: str


@dataclass(frozen=True, slots=True)
class TcxLink:
    """TC on the target interface through a bpf_link. Linux 6.6. direction: ingress or egress."""

    direction: str


@dataclass(frozen=True, slots=True)
class TcxBeside:
    """TC through a bpf_link, right before or right behind a program of a TCX chain. Linux 6.6.

    program: its id, on the interface of that number. direction: ingress or egress.
    """

    direction: str
    ifindex: int
    program: int
    behind: bool


@dataclass(frozen=True, slots=True)
class Clsact:
    """TC on the target interface by a clsact qdisc and a direct-action filter. Outlives us."""

    direction: str


@dataclass(frozen=True, slots=True)
class PacketSocket:
    """A socket filter on a raw packet socket of ours on the target interface. Linux 3.19.

    It is shown what passes and takes nothing (it keeps 0 bytes); before TC, behind XDP.
    """


@dataclass(frozen=True, slots=True)
class Lsm:
    """A hook of the security modules ("file_open"), by trampoline. Linux 5.7, BTF, bpf in lsm=.

    The program answers what it got from those before it: it looks on.
    """

    hook: str


@dataclass(frozen=True, slots=True)
class SkMsgLink:
    """A verdict on what sockets in a sockhash of the rung's C send, by a bpf_link. Linux 6.12."""

    map: str


@dataclass(frozen=True, slots=True)
class SkMsgAttach:
    """The same attached to the map itself, with which it goes. Linux 4.18."""

    map: str


@dataclass(frozen=True, slots=True)
class Iterator:
    """Runs over all of the kernel's objects of a kind, when it is read. Linux 5.8, BTF.

    kind: "tcp", the TCP sockets of the reader's network namespace, 5.9.
    """

    kind: str


@dataclass(frozen=True, slots=True)
class CgroupLink:
    """A program on the root cgroup (v2) through a bpf_link. Linux 5.7."""

    attach_type: AttachType


@dataclass(frozen=True, slots=True)
class CgroupAttach:
    """A program on the root cgroup beside others (BPF_F_ALLOW_MULTI). Outlives the process."""

    attach_type: AttachType


Point = (
    RawTracepoint
    | BtfTracepoint
    | Tracepoint
    | Fentry
    | Fexit
    | FexitOf
    | Kprobe
    | Kretprobe
    | KprobeMulti
    | KretprobeMulti
    | Uprobe
    | Uretprobe
    | Samples
    | XdpLink
    | XdpNetlink
    | TcxLink
    | TcxBeside
    | Clsact
    | PacketSocket
    | Lsm
    | SkMsgLink
    | SkMsgAttach
    | Iterator
    | CgroupLink
    | CgroupAttach
)
