"""Program types on the running kernel: context, return values and helpers, as it answers.

Everything that can be asked is asked: with programs of two or three instructions that are loaded
and released again, and never attached. The meaning of a return value no kernel tells.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from probes.attach import iterator
from probes.attach import program as bpf_program
from probes.attach.cgroup import CgroupLink
from probes.attach.clsact import Clsact
from probes.attach.kprobe import Kprobe
from probes.attach.sk_msg import SkMsgAttach
from probes.attach.socket_filter import PacketSocket
from probes.attach.tracepoint import BtfTracepoint, RawTracepoint, Tracepoint
from probes.attach.trampoline import Fentry, Fexit, Lsm
from probes.attach.xdp import XdpLink
from probes.errors import ProbeError, Unsupported
from probes.kernel import bpf, btf, rlimits
from probes.point import AttachType, Point, ProgType

_LDX_MEM, _CALL, _EXIT = 0x61, 0x85, 0x95
_SIZES = {4: 0x00, 8: 0x18}  # BPF_W, BPF_DW
_LOG = 1 << 14
_MOST_CONTEXT, _GAP = 1 << 13, 256
"""Bytes after which reading a context is given up, in all and of an unreadable gap."""
_VALUES = range(-1, 5)
_REFUSED = re.compile(r"(?:unknown|invalid) func|cannot use helper|might sleep")
"""Verifier's words for a helper that is not offered; newer kernels have other ones."""
_HELPER = "BPF_FUNC_"


@dataclass(frozen=True, slots=True)
class ProgramType:
    """A program type. context: what it gets, in C; struct: its name in BTF, "" for none.

    returns: meanings of its return values, that of 0 first.
    """

    name: str
    point: Point | ProgType
    context: str
    struct: str
    returns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Findings on a type. why, remedy: where the kernel does not load one.

    size: of the context as BTF has it, in bytes, None where there is no such struct. readable: how
    far a program may read in it. accepts: the return values, of -1 to 4, that a program may end
    with. helpers: those that it may call; None: unknown. of: how many the kernel has.
    """

    kind: ProgramType
    loads: bool
    why: str = ""
    remedy: str = ""
    error: str = ""
    size: int | None = None
    readable: int | None = None
    accepts: tuple[int, ...] = ()
    helpers: tuple[str, ...] | None = None
    of: int = 0


_RECORD = (
    "0",
    "a perf event that it is attached to records nothing; the traced code is unaffected",
)
_RECORDS = (_RECORD, ("1", "it is recorded"))
_IGNORED = (("0", "nothing: it is ignored, as is any other value"),)

KINDS = (
    ProgramType(
        "xdp",
        XdpLink("generic"),
        "struct xdp_md *",
        "xdp_md",
        (
            ("0 XDP_ABORTED", "dropped as an error, reported by the tracepoint xdp_exception"),
            ("1 XDP_DROP", "dropped"),
            ("2 XDP_PASS", "on to the stack"),
            ("3 XDP_TX", "out again by the same interface"),
            ("4 XDP_REDIRECT", "to another interface, CPU or socket"),
        ),
    ),
    ProgramType(
        "tc",
        Clsact("ingress"),
        "struct __sk_buff *",
        "__sk_buff",
        (
            ("0 TC_ACT_OK, TCX_PASS", "passes; no further filter or program is asked"),
            ("-1 TC_ACT_UNSPEC, TCX_NEXT", "on to the next filter or program"),
            ("2 TC_ACT_SHOT, TCX_DROP", "dropped"),
            ("4 TC_ACT_STOLEN", "taken by the program"),
            ("7 TC_ACT_REDIRECT, TCX_REDIRECT", "to another interface"),
        ),
    ),
    ProgramType(
        "socket-filter",
        PacketSocket(),
        "struct __sk_buff *",
        "__sk_buff",
        (
            ("0", "this socket does not get the packet; everybody else does"),
            ("n", "it gets n bytes of it at most"),
        ),
    ),
    ProgramType("kprobe", Kprobe("tcp_v4_connect"), "struct pt_regs *", "pt_regs", _RECORDS),
    ProgramType(
        "tracepoint",
        Tracepoint("sched", "sched_process_exec"),
        "the event's record",
        "",
        _RECORDS,
    ),
    ProgramType(
        "raw-tracepoint",
        RawTracepoint("sched_process_exec"),
        "u64 arguments[]",
        "",
        _IGNORED,
    ),
    ProgramType(
        "btf-tracepoint",
        BtfTracepoint("sched_process_exec"),
        "u64 arguments[], typed",
        "",
        _IGNORED,
    ),
    ProgramType("fentry", Fentry("tcp_v4_connect"), "u64 arguments[], typed", "", _IGNORED),
    ProgramType(
        "fexit", Fexit("tcp_v4_connect"), "u64 arguments[] and result, typed", "", _IGNORED
    ),
    ProgramType(
        "iterator",
        iterator.Iterator("tcp"),
        "the iteration and one object of it: u64 arguments[], typed",
        "",
        (("0", "goes on to the next"), ("1", "repeats the same object")),
    ),
    ProgramType(
        "perf-event",
        ProgType.PERF_EVENT,
        "struct bpf_perf_event_data *",
        "bpf_perf_event_data",
        (("0", "the sample is not recorded"), ("1", "it is recorded")),
    ),
    ProgramType(
        "cgroup-sock-addr",
        CgroupLink(AttachType.CGROUP_INET4_CONNECT),
        "struct bpf_sock_addr *",
        "bpf_sock_addr",
        (
            ("0", "the call fails with EPERM"),
            ("1", "it goes on, with the address as it is now"),
        ),
    ),
    ProgramType(
        "cgroup-skb",
        CgroupLink(AttachType.CGROUP_INET_EGRESS),
        "struct __sk_buff *",
        "__sk_buff",
        (
            ("0", "dropped; the sender gets EPERM"),
            ("1", "passes"),
            ("2, 3", "(egress) the same as 0 and 1, and the sender slows down"),
        ),
    ),
    ProgramType(
        "cgroup-sock",
        CgroupLink(AttachType.CGROUP_INET_SOCK_CREATE),
        "struct bpf_sock *",
        "bpf_sock",
        (("0", "the socket is not made: EPERM"), ("1", "the socket is made")),
    ),
    ProgramType(
        "sock-ops",
        CgroupLink(AttachType.CGROUP_SOCK_OPS),
        "struct bpf_sock_ops *",
        "bpf_sock_ops",
        (
            ("0", "its `reply` is not used"),
            ("1", "its `reply` is used, where the operation takes one"),
        ),
    ),
    ProgramType(
        "sk-msg",
        SkMsgAttach("sockets"),
        "struct sk_msg_md *",
        "sk_msg_md",
        (
            ("0 SK_DROP", "the message is dropped; the sender gets EACCES"),
            ("1 SK_PASS", "it passes"),
        ),
    ),
    ProgramType(
        "lsm",
        Lsm("file_open"),
        "u64 arguments[] and the answer so far, typed",
        "",
        (("0", "no objection: the next module is asked"), ("-errno", "denied, with that error")),
    ),
)
NAMES = tuple(kind.name for kind in KINDS)


def examine(names: tuple[str, ...] = ()) -> Iterator[Found]:
    """Ask the kernel about these types, or about all, which takes about a second."""
    rlimits.raise_memlock()
    helpers = helper_names()
    for kind in KINDS:
        if not names or kind.name in names:
            yield _examined(kind, helpers)


def _examined(kind: ProgramType, helpers: Mapping[int, str]) -> Found:
    try:
        load = _Trial(kind.point)
        load.first()
    except ProbeError as refusal:
        return Found(kind, False, refusal.why, refusal.remedy, refusal.code)
    may = tuple(name for id, name in helpers.items() if load.calls(id))
    return Found(
        kind,
        True,
        size=btf.size(kind.struct) if kind.struct else None,
        readable=load.readable(),
        accepts=load.accepts,
        helpers=may if helpers else None,
        of=len(helpers),
    )


def helper_names() -> Mapping[int, str]:
    """Return every helper of this kernel by number; empty where it has no BTF to tell."""
    found = btf.enum("bpf_func_id")
    return {
        id: name.removeprefix(_HELPER).lower()
        for id, name in sorted(found.items())
        if name.startswith(_HELPER) and id and name != f"{_HELPER}unspec"
    }


@dataclass(slots=True)
class _Trial:
    """Loader of small programs of one type."""

    point: Point | ProgType
    accepts: tuple[int, ...] = ()
    _how: dict[str, int] = field(default_factory=dict)
    _type: int = 0

    def first(self) -> None:
        """Find what it may end with. Raises ProbeError where no program of it can be loaded."""
        if isinstance(self.point, ProgType):
            self._type = self.point
        else:
            self._type, expected, btf_id, _ = self.point.loading()
            self._how = {"expected_attach_type": expected, "attach_btf_id": btf_id}
        self.accepts = tuple(v for v in _VALUES if self._loads(bpf.exit_with(v)))
        if self.accepts:
            return
        if not isinstance(self.point, ProgType):
            os.close(bpf_program.load(self.point, bpf.exit_with(0), "probe"))
        raise Unsupported("this kernel does not accept such a program")

    def _loads(self, code: bytes) -> bool:
        try:
            os.close(bpf.prog_load(self._type, code, **self._how))  # type: ignore[arg-type]
        except OSError:
            return False
        return True

    def calls(self, helper: int) -> bool:
        """Return whether the verifier lets it call a helper, tried with bad arguments."""
        code = _insn(_CALL, 0, 0, helper) + _insn(_EXIT, 0, 0, 0)
        try:
            os.close(bpf.prog_load(self._type, code, log=_LOG, **self._how))  # type: ignore[arg-type]
        except bpf.VerifierError as refused:
            return not _REFUSED.search(refused.log)
        except OSError:
            return False
        return True

    def readable(self) -> int:
        """Return how far its context can be read, by 4 or 8 bytes at a time."""
        end = at = 0
        while at < min(end + _GAP, _MOST_CONTEXT):
            for size, width in _SIZES.items():
                if at % size == 0 and at + size > end and self._reads(at, width):
                    end = at + size
            at += 4
        return end

    def _reads(self, offset: int, width: int) -> bool:
        read = _insn(_LDX_MEM | width, 0x10, offset, 0)  # r0 = *(r1 + offset)
        return self._loads(read + bpf.exit_with(self.accepts[-1]))


def _insn(code: int, registers: int, offset: int, immediate: int) -> bytes:
    return struct.pack("=BBhi", code, registers, offset, immediate)
