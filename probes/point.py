"""Attach points: what a rung's program is loaded as, where it goes, and how.

Hooks name points; each kind is one file of `attach`. Numbers are those of include/uapi/linux/bpf.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar, NamedTuple, Protocol

from probes.errors import ProbeError

PROGRAM_PREFIX = "ebpftop_"
"""Prefix of all our programs' names: they are recognised in bpftool and after a crash."""


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


class Loading(NamedTuple):
    """Parameters of loading a program for a point.

    btf_id: of what it is attached to. prog_fd: of the program that it is attached to.
    """

    prog_type: ProgType
    attach_type: int = 0
    btf_id: int = 0
    prog_fd: int = 0


class Held(Protocol):
    """A handle on an attached program. Calling it detaches; calling it twice is harmless."""

    link: int | None
    """Its fd, where a bpf_link holds it."""

    def __call__(self) -> None: ...

    def taken(self) -> bool:
        """Return whether somebody else has detached it. Raises OSError, ProbeError."""


class Point:
    """One place to attach a program to. Subclasses are frozen dataclasses: one kind each.

    They raise Unsupported, Denied, Busy (somebody else's program is there) or Gone.
    """

    __slots__ = ()

    needs: ClassVar[tuple[int, ...]]
    """Capabilities that loading and attaching take."""
    neutral: ClassVar[int] = 0
    """Return value that changes nothing, for programs that only probe the kernel."""
    lasting: ClassVar[bool] = False
    """Whether it outlives the process, and so is recorded first."""
    seat: ClassVar[str] = ""
    """Name of the place, where only one program can take it."""
    iterates: ClassVar[bool] = False
    """Whether the program runs when its link is read."""

    @property
    def file(self) -> str:
        """Path of the file that it is a place in, or ""."""
        return ""

    def loading(self) -> Loading:
        """Return how a program for it is loaded."""
        raise NotImplementedError

    def check(self, ifindex: int) -> None:
        """Raise where loading would not show that there is nothing to attach to."""

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Held:
        """Attach a loaded program. maps: fds of the maps of its source, by name."""
        raise NotImplementedError

    def rehearse(self, prog_fd: int, ifindex: int) -> str:
        """Attach a neutral program for a moment, where that changes nothing.

        Return why it is still unknown whether a real one could be attached; "" where it could.
        """
        self.attach(prog_fd, ifindex, {})()
        return ""

    def explain_load(self, code: int, log: str) -> ProbeError | None:
        """Return what a refusal to load means here, where it differs from the usual meaning."""
        return None

    def explain_last(self, code: int, log: str) -> ProbeError | None:
        """Return what a refusal to load means here, where nothing else explains it."""
        return None

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        """Return what a refusal to attach means here, where it differs from the usual meaning."""
        return None
