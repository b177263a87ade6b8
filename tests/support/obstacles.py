"""Situations in which less is allowed: each really made, by a command that runs the real one.

What a situation takes away is declared by kind of attach point, so that the rung to expect can be
worked out from what the kernel gives without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probes.attach.cgroup import CgroupAttach, CgroupLink
from probes.attach.clsact import Clsact
from probes.attach.iterator import Iterator
from probes.attach.kprobe import Kprobe, Kretprobe
from probes.attach.perf_event import Samples
from probes.attach.sk_msg import SkMsgLink
from probes.attach.socket_filter import PacketSocket
from probes.attach.tcx import TcxLink
from probes.attach.tracepoint import BtfTracepoint, RawTracepoint, Tracepoint
from probes.attach.trampoline import Fentry, Fexit, Lsm
from probes.attach.uprobe import Uprobe, Uretprobe
from probes.attach.xdp import XdpLink, XdpNetlink
from probes.foreign import followers, tcx_neighbours
from probes.hooks import catalogue
from probes.hooks.tcp_rtt import callback_flags
from probes.model import Rung


class Others:
    """No point, but as good as one to miss: others' programs by their ids (CAP_SYS_ADMIN)."""


LINUX = tuple(map(int, os.uname().release.split(".")[:2]))
Kinds = tuple[type[Any], ...]
Words = tuple[str, ...]
XDP_TC: Kinds = (XdpLink, XdpNetlink, TcxLink, Clsact)
CGROUP: Kinds = (CgroupLink, CgroupAttach)
TYPED: Kinds = (BtfTracepoint, Fentry, Fexit, Lsm)
BTF: Kinds = (*TYPED, Iterator)
THROUGH_RAW: Kinds = (*TYPED, RawTracepoint)
PERF: Kinds = (Tracepoint, Kprobe, Kretprobe)
UPROBES: Kinds = (Uprobe, Uretprobe)
OPENED: Kinds = (*PERF, *UPROBES, Samples)
"""What perf_event_open gives."""
LINKS: Kinds = (XdpLink, TcxLink, CgroupLink, SkMsgLink)
TRACING: Kinds = (*THROUGH_RAW, *OPENED)
PERF_UPROBES: Kinds = () if LINUX >= (6, 6) else UPROBES
"""Those that perf_event_open gives: newer kernels have links for them."""
WITHOUT_PERF: Kinds = (*THROUGH_RAW, *PERF, *PERF_UPROBES, Samples)
LASTING: Kinds = (XdpNetlink, Clsact, CgroupAttach)
ANY: Kinds = (*XDP_TC, *CGROUP, *TRACING, PacketSocket)

EVERYTHING = (
    "interfaces",
    "namespace-interfaces",
    "qdiscs",
    "xdp@v0",
    "xdp@lo",
    "tc-ingress@v0",
    "tc-egress@v0",
    "drops",
    "sources@v0",
    "syscalls",
    "syscall-processes@getpgid",
    "tcp-connect",
    "tcp-rtt",
    "sock-addr",
    "tcp-life",
    "lsm",
    "protocols@v0",
    "cgroup-bytes",
    "sk-msg",
    "xdp-programs",
    "tc-programs",
    "opens",
    "sent",
    "dns",
    "name-servers",
    "net-counters",
    "namespaces",
    "memory",
    "tcp-stalled",
    "execs",
    "exits",
    "tls",
    "profile",
    "xdp-errors",
    "programs",
)
TCP = ("tcp-connect", "tcp-rtt")
GUARDS = ("sock-addr", "tcp-life", "cgroup-bytes")
NO_NAMES = ("cgroup-bytes", "sk-msg")
"""At cgroups, and yet in no need of CAP_PERFMON: they ask for nobody's name, or do without."""
READING = {
    ("drops", "raw-tracepoint"),
    ("xdp-errors", "raw-tracepoint"),
    ("exits", "raw-tracepoint"),
    ("syscalls", "raw-tracepoint"),
    ("syscall-processes", "raw-tracepoint"),
    ("tcp-connect", "fentry"),
    ("tcp-connect", "kprobe"),
    ("tcp-connect", "sock_ops"),
    ("sock-addr", "btf-tracepoint"),
}
"""Rungs of which a program that they cannot do without reads kernel memory."""


@dataclass(frozen=True, slots=True)
class Situation:
    """before: the command that makes it and runs another. lacks: what cannot be attached there.

    says: what a refusal for want of such a point names: the obstacle and the remedy. facts: those
    of the doctor that stand in the way. among: the hooks that are asked for: those of them that
    it takes something from. sysctls: set meanwhile, where the kernel lets one. user:
    whether the command is run by an unprivileged user. compiles: with the distribution's headers,
    not with what was compiled for any other situation. impossible: why this machine cannot be put
    there, "" where it can.
    """

    name: str
    before: tuple[str, ...] = ()
    lacks: Kinds = ()
    says: Mapping[Kinds, Words] = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    among: tuple[str, ...] = EVERYTHING
    sysctls: Mapping[str, int] = field(default_factory=dict)
    user: bool = False
    compiles: bool = False
    impossible: Callable[[], str] = str

    @property
    def hooks(self) -> tuple[str, ...]:
        """What is asked for: a guest takes a second or two for each program that is compiled."""
        if not self.lacks:
            return self.among
        return tuple(spec for spec in self.among if _kinds(spec) & set(self.lacks))

    def takes_away(self, rung: Rung) -> bool:
        return self.first_lack(rung) is not None

    def first_lack(self, rung: Rung) -> type[Any] | None:
        """The kind of the first point that the rung needs and cannot have."""
        return next((kind for kind in _needed(rung) if kind in self.lacks), None)


def _needed(rung: Rung) -> list[type[Any]]:
    needed = [type(p.point) for p in rung.programs if not p.optional]
    if rung.precheck is tcx_neighbours.unplaceable:
        return [Others, TcxLink]
    if rung.precheck is callback_flags.refused:
        return [Iterator, Others, *needed]
    others = rung.precheck in (followers.unreachable, followers.uncountable)
    return [Others, *needed] if others else needed


def _kinds(spec: str) -> set[type[Any]]:
    """Every kind of point that some rung of a hook has."""
    ladder = catalogue()[spec.partition("@")[0]].ladder
    optional = {type(program.point) for rung in ladder for program in rung.programs}
    return optional | {kind for rung in ladder for kind in _needed(rung)}


def rung_of(spec: str, name: str) -> Rung:
    rung = catalogue()[spec.partition("@")[0]].rung(name)
    assert rung is not None
    return rung


def reads_memory(spec: str, name: str) -> bool:
    """Whether a rung reads kernel memory by a helper, or needs what shows where memory is."""
    points = [type(p.point) for p in rung_of(spec, name).programs if not p.optional]
    return (spec.partition("@")[0], name) in READING or any(kind in PERF for kind in points)


# -- ways to put a command somewhere ---------------------------------------------------------


def _mounts(*commands: str) -> tuple[str, ...]:
    """In a mount namespace of its own, changed by these commands.

    Without CAP_SYS_PTRACE: what is mounted for whoever started it is not to be found either.
    """
    script = " && ".join((*commands, 'exec "$@"'))
    unseen = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")
    return ("unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", *unseen)


def _away(*places: str) -> str:
    """Unmounts what is mounted there, with all that is below."""
    listed = " ".join(places)
    return f"for p in {listed}; do while umount -lR $p 2>/dev/null; do :; done; done"


def _without_cgroup2() -> str:
    """Every mount of cgroup v2, wherever it is."""
    return (
        'while m=$(awk \'$3 == "cgroup2" {print $2; exit}\' /proc/self/mounts) && [ "$m" ];'
        ' do umount -l "$m" || exit; done'
    )


def _refused(*rules: str) -> tuple[str, ...]:
    launcher = Path(__file__).with_name("seccomp.py")
    return (sys.executable, str(launcher), *rules, "--")


def _user(*capabilities: str) -> tuple[str, ...]:
    """An unprivileged user with these capabilities and, as a service has, no memlock limit."""
    given = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    which = (f"--{kind}={given}" for kind in ("inh-caps", "ambient-caps", "bounding-set"))
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *which)
    return (*user, *(("prlimit", "--memlock=65536") if not capabilities else ()))


NO_TRACEFS = _away("/sys/kernel/tracing", "/sys/kernel/debug")
NO_BTF = "mount -t tmpfs none /sys/kernel/btf"
CGROUP1 = "mount -t tmpfs none /sys/fs/cgroup"
HEADERS = Path("/lib/modules", os.uname().release, "build")
RELEASE = tuple(map(int, os.uname().release.split(".")[:2]))
_PARTS: Kinds = () if RELEASE >= (6, 9) else (PacketSocket,)
"""What older verifiers refuse to processes without CAP_PERFMON: it overwrites parts of numbers."""
MODULES = "mount -t tmpfs none /lib/modules"


def _no_btf() -> str:
    return "" if Path("/sys/kernel/btf").is_dir() else "this kernel has no BTF to hide"


def _no_headers() -> str:
    return _no_btf() or ("" if HEADERS.exists() else "the kernel's headers are not installed here")


_COMPILES = ("BTF", "linux-headers-", "CONFIG_DEBUG_INFO_BTF")
_BTF = ("BTF", "CONFIG_DEBUG_INFO_BTF")
_TRACEFS = ("tracefs is not mounted", "mount -t tracefs tracefs /sys/kernel/tracing")
_CGROUP2 = ("cgroup v2 is not mounted", "mount -t cgroup2")
_FILTERED = ("seccomp",)
_BY_ID = ("CAP_SYS_ADMIN", "root")
_UNREADABLE = ("/sys/kernel/", "CAP_DAC_READ_SEARCH")

SITUATIONS = (
    Situation(
        "no BTF, no headers",
        _mounts(NO_BTF, f"if [ -d /lib/modules ]; then {MODULES}; fi"),
        lacks=(*ANY, Iterator),
        says={BTF: _BTF, ANY: _COMPILES},
        facts=("BTF",),
        impossible=_no_btf,
    ),
    Situation(
        "no BTF, headers",
        _mounts(NO_BTF),
        lacks=BTF,
        says={BTF: _BTF},
        facts=("BTF",),
        among=("drops", "xdp-errors", "syscalls", "syscall-processes@getpgid", "tcp-connect"),
        compiles=True,
        impossible=_no_headers,
    ),
    Situation(
        "no tracefs",
        _mounts(NO_TRACEFS),
        lacks=(Tracepoint,),
        says={(Tracepoint,): _TRACEFS},
        facts=("tracefs",),
    ),
    Situation(
        "no cgroup v2",
        _mounts(_without_cgroup2()),
        lacks=CGROUP,
        says={CGROUP: _CGROUP2},
        facts=("cgroup v2",),
        among=(*TCP, *GUARDS),
    ),
    Situation(
        "no cgroup v2, no tracefs",
        _mounts(_without_cgroup2(), NO_TRACEFS),
        lacks=(*CGROUP, Tracepoint),
        says={CGROUP: _CGROUP2, (Tracepoint,): _TRACEFS},
        facts=("cgroup v2", "tracefs"),
        among=GUARDS,
    ),
    Situation(
        "hybrid cgroups",
        _mounts(
            _without_cgroup2(),
            CGROUP1,
            "mkdir /sys/fs/cgroup/unified",
            "mount -t cgroup2 none /sys/fs/cgroup/unified",
        ),
        among=("tcp-rtt",),
    ),
    Situation(
        "pure cgroup v2",
        _mounts(_without_cgroup2(), "mount -t cgroup2 none /sys/fs/cgroup"),
        among=("tcp-rtt",),
    ),
    Situation(
        "read-only /sys, no bpffs",
        _mounts("mount -t sysfs -o ro none /sys", "mount -t cgroup2 -o ro none /sys/fs/cgroup"),
        lacks=(Tracepoint,),
        says={(Tracepoint,): _TRACEFS},
        facts=("tracefs",),
    ),
    Situation(
        "no links",
        _refused("bpf:28=EINVAL"),
        lacks=LINKS,
        says={
            (CgroupLink,): ("no link", "Linux 5.7"),
            (XdpLink,): ("no link", "Linux 5.9"),
            (SkMsgLink,): ("Linux 6.12",),
            (TcxLink,): ("TCX", "Linux 6.6"),
        },
    ),
    Situation(
        "no raw tracepoints",
        _refused("bpf:17=EINVAL"),
        lacks=THROUGH_RAW,
        says={THROUGH_RAW: ("cannot attach such a program",)},
    ),
    Situation(
        "no raw tracepoints, some hooks",
        _refused("bpf:17=EINVAL"),
        lacks=THROUGH_RAW,
        among=("drops", "opens", "sent", "lsm"),
    ),
    Situation(
        "no links, no CAP_NET_RAW",
        ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", *_refused("bpf:28=EINVAL")),
        lacks=(*LINKS, PacketSocket),
        says={(PacketSocket,): ("CAP_NET_RAW",)},
        among=("sources@v0",),
    ),
    Situation(
        "no raw tracepoints, no cgroup v2",
        (*_mounts(_without_cgroup2()), *_refused("bpf:17=EINVAL")),
        lacks=(*THROUGH_RAW, *CGROUP),
        says={CGROUP: _CGROUP2},
        facts=("cgroup v2",),
        among=(*TCP, *GUARDS),
    ),
    Situation(
        "no raw tracepoints, no perf",
        _refused("bpf:17=EINVAL", "perf_event_open=EPERM"),
        lacks=WITHOUT_PERF,
        says={OPENED: _FILTERED},
    ),
    Situation(
        "bpf() refused by seccomp",
        _refused("bpf=EPERM"),
        lacks=(*ANY, Others),
        says={(*ANY, Others): _FILTERED},
    ),
    Situation(
        "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN",
        _user("bpf", "perfmon", "net_admin"),
        lacks=(Others, Tracepoint, PacketSocket, *PERF_UPROBES, *LASTING),
        says={
            (Others, *PERF_UPROBES): _BY_ID,
            (Tracepoint,): _UNREADABLE,
            (PacketSocket,): ("CAP_NET_RAW",),
            LASTING: ("root",),
        },
        facts=("tracefs",),
        sysctls={"perf_event_paranoid": 3},
        user=True,
    ),
    Situation(
        "CAP_BPF, CAP_NET_ADMIN",
        _user("bpf", "net_admin"),
        lacks=(Others, *TRACING, *CGROUP, XdpLink, PacketSocket, *LASTING),
        says={
            (Others,): _BY_ID,
            (*TRACING, XdpLink, CgroupLink, *_PARTS): ("CAP_PERFMON",),
            (PacketSocket,): ("CAP_NET_RAW",),
            LASTING: ("root",),
        },
        among=tuple(hook for hook in EVERYTHING if hook not in NO_NAMES),
        facts=("privilege", "tracefs"),
        sysctls={"perf_event_paranoid": 3},
        user=True,
    ),
    Situation(
        "CAP_BPF, CAP_NET_RAW",
        _user("bpf", "net_raw"),
        lacks=(*TRACING, *CGROUP, *XDP_TC, *_PARTS),
        says={_PARTS: ("CAP_PERFMON",), (TcxLink,): ("CAP_NET_ADMIN",), LASTING: ("root",)},
        facts=("privilege", "tracefs"),
        among=("sources@v0",),
        sysctls={"perf_event_paranoid": 3},
        user=True,
    ),
    Situation(
        "nobody",
        _user(),
        lacks=(Others, *ANY),
        says={
            (Others,): _BY_ID,
            TRACING: ("CAP_BPF and CAP_PERFMON", "root"),
            ANY: ("CAP_BPF", "root"),
        },
        facts=("privilege", "tracefs"),
        sysctls={"perf_event_paranoid": 3, "unprivileged_bpf_disabled": 2},
        user=True,
    ),
)
