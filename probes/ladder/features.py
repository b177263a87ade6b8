"""Questions to the kernel: would this rung stand here? Yes, no, or cannot tell; with the reason.

A question is asked with the smallest program there is, loaded (and, for `answer`, attached for a
moment where that changes nothing) exactly as the real one would be. It may veto a rung, which
saves compiling for nothing; only attaching the real one proves it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum

from probes import point as points
from probes.attach import (
    clsact,
    perf_event,
    persistent,
    refusals,
    tcx,
    uprobe,
)
from probes.attach import (
    program as bpf_program,
)
from probes.errors import ProbeError, Unsupported, as_refusal, in_words
from probes.kernel import bpf, cgroups
from probes.model import Program, Rung
from probes.point import AttachType, Point


class Word(StrEnum):
    """An answer."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the kernel says about a rung. error: errno's name or the kind of refusal, for NO."""

    word: Word
    why: str = ""
    remedy: str = ""
    error: str = ""


def veto(rung: Rung, ifindex: int = 0) -> ProbeError | None:
    """The refusal that makes it pointless to compile the rung's programs, if there is one."""
    if rung.requires is not None and (refusal := rung.requires()) is not None:
        return refusal
    for program in rung.programs:
        try:
            with _loaded(program):
                _exists(program.point, ifindex)
        except ProbeError as refusal:
            if not program.optional:
                return refusal
    return persistent.unrecordable() if rung.lasting else None


def answer(rung: Rung, ifindex: int = 0) -> Answer:
    """Whether the rung would stand, as far as can be told without changing anything."""
    try:
        return _answer(rung, ifindex)
    except Exception as raised:  # of this one; the others are still to be asked
        return Answer(Word.UNKNOWN, as_refusal(raised, f"asking for {rung.name}").why)


def _answer(rung: Rung, ifindex: int) -> Answer:
    if rung.requires is not None and (refusal := rung.requires()) is not None:
        return Answer(Word.NO, refusal.why, refusal.remedy, refusal.code)
    word, why = Word.YES, ""
    for program in rung.programs:
        try:
            with _loaded(program) as fd:
                _exists(program.point, ifindex)
                if isinstance(program.point, points.XdpLink | points.XdpNetlink):
                    word, why = _xdp(program.point, ifindex)
                elif _harmless(program.point, ifindex):
                    bpf_program.attach(program.point, fd, ifindex)()
                elif isinstance(program.point, points.CgroupAttach):
                    _beside_others(program.point, fd)
        except ProbeError as refusal:
            if not program.optional:
                return Answer(Word.NO, refusal.why, refusal.remedy, refusal.code)
            why = f"{program.without}: {refusal.why}"
    if rung.lasting and (refused := persistent.unrecordable()) is not None:
        return Answer(Word.NO, refused.why, refused.remedy, refused.code)
    return Answer(word, why)


@contextmanager
def _loaded(program: Program) -> Iterator[int]:
    fd = bpf_program.load(program.point, bpf.exit_with(_neutral(program.point)), "probe")
    try:
        yield fd
    finally:
        os.close(fd)


def _harmless(point: Point, ifindex: int) -> bool:
    """Whether an empty program can be attached there for a moment without a trace."""
    if isinstance(point, points.TcxLink):
        return ifindex != 0
    return not isinstance(
        point, points.Clsact | points.CgroupAttach | points.SkMsgLink | points.SkMsgAttach
    )


def _beside_others(point: points.CgroupAttach, fd: int) -> None:
    """Raises Busy where somebody's program lets none beside it, which a link meets as well."""
    try:
        bpf_program.attach(points.CgroupLink(point.attach_type), fd, 0)()
    except Unsupported:
        pass  # links came to cgroups later: only attaching tells


def _neutral(point: Point) -> int:
    """The return value that changes nothing."""
    match point:
        case points.XdpLink() | points.XdpNetlink():
            return 2  # XDP_PASS
        case points.TcxLink() | points.Clsact():
            return -1  # TCX_NEXT, TC_ACT_UNSPEC
        case (
            points.CgroupLink() | points.CgroupAttach() | points.SkMsgLink() | points.SkMsgAttach()
        ):
            return 1  # SK_PASS, for messages
        case _:
            return 0


def _exists(point: Point, ifindex: int) -> None:
    """What loading does not show: is there something to attach to? Raises ProbeError."""
    if isinstance(point, points.XdpLink | points.CgroupLink):
        _links("XDP (Linux 5.9)" if isinstance(point, points.XdpLink) else "cgroups (Linux 5.7)")
    match point:
        case points.Tracepoint(category, name):
            perf_event.tracepoint_id(category, name)
        case points.Kprobe() | points.Kretprobe():
            perf_event.kprobe_symbol(point)
        case points.Uprobe() | points.Uretprobe():
            uprobe.pmu()
            uprobe.offsets(point)
        case points.TcxLink():
            if (missing := tcx.missing()) is not None:
                raise missing
        case points.XdpLink() | points.XdpNetlink() if ifindex:
            if (foreign := refusals.foreign_xdp(ifindex)) is not None:
                raise foreign
        case points.Clsact("egress") if ifindex and clsact.qdisc(ifindex) == "ingress":
            raise clsact.no_egress()
        case points.CgroupLink() | points.CgroupAttach():
            with cgroups.opened():
                pass
        case points.SkMsgLink(name) | points.SkMsgAttach(name):
            _sockhash(point, name)


def _links(where: str) -> None:
    """No program has this fd: EBADF where the kernel knows bpf_link at all."""
    try:
        bpf.link_create(0x7FFFFFFF, 0, AttachType.XDP)
    except OSError as refused:
        if refused.errno == errno.EINVAL:
            why = f"this kernel takes no link to {where}"
            raise Unsupported(why, errno=errno.EINVAL) from None


def _sockhash(point: points.SkMsgLink | points.SkMsgAttach, name: str) -> None:
    """An empty one of our own: nobody's socket is in it."""
    with ExitStack() as stack:
        fd = bpf_program.load(point, bpf.exit_with(_neutral(point)), "probe")
        stack.callback(os.close, fd)
        try:
            sockets = bpf.map_create(bpf.SOCKHASH, 4, 4, 1)
        except OSError as refused:
            why = f"a sockhash could not be created: {in_words(refused)}"
            raise Unsupported(why, errno=refused.errno or 0) from None
        stack.callback(os.close, sockets)
        bpf_program.attach(point, fd, 0, {name: sockets})()


def _xdp(point: points.XdpLink | points.XdpNetlink, ifindex: int) -> tuple[Word, str]:
    if point.mode == "generic":
        return Word.YES, ""
    if not ifindex:
        return Word.UNKNOWN, "depends on the interface's driver"
    return Word.UNKNOWN, "only attaching tells whether the driver does native XDP"
