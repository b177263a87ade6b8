"""TCX: chains of programs at TC, in an order that can be chosen, through a bpf_link."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass

from probes.attach.handle import Handle, by_link
from probes.attach.refusals import privileged
from probes.errors import ProbeError, Unsupported, short
from probes.kernel import bpf, capabilities
from probes.point import AttachType, Loading, Point, ProgType

NO_TCX = "this kernel has no TCX (Linux 6.6)"
_NEXT = -1  # TCX_NEXT
_NOWHERE = 0x7FFFFFFF
_TYPES = {"ingress": AttachType.TCX_INGRESS, "egress": AttachType.TCX_EGRESS}


class _InChain(Point):
    """A program in an interface's chain."""

    __slots__ = ()

    needs = capabilities.BPF, capabilities.NET_ADMIN
    neutral = _NEXT

    def loading(self) -> Loading:
        return Loading(ProgType.SCHED_CLS)


@dataclass(frozen=True, slots=True)
class TcxLink(_InChain):
    """TC on the target interface through a bpf_link. Linux 6.6. direction: ingress or egress."""

    direction: str

    def check(self, ifindex: int) -> None:
        if (refused := missing()) is not None:
            raise refused

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        """Attach before all others, so that it also counts what programs behind it drop."""
        kind = _TYPES[self.direction]
        return by_link(
            lambda: bpf.link_create(prog_fd, ifindex, kind, flags=bpf.F_BEFORE),
            self,
            "TCX",
            ifindex,
            forced=True,
        )

    def rehearse(self, prog_fd: int, ifindex: int) -> str:
        if ifindex:
            self.attach(prog_fd, ifindex, {})()
        return ""

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        return Unsupported(NO_TCX, errno=code) if code == errno.EINVAL else None


@dataclass(frozen=True, slots=True)
class TcxBeside(_InChain):
    """TC through a bpf_link, right before or right behind a program of a TCX chain. Linux 6.6.

    program: its id, on the interface of that number. direction: ingress or egress.
    """

    direction: str
    ifindex: int
    program: int
    behind: bool

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        flags = bpf.F_ID | (bpf.F_AFTER if self.behind else bpf.F_BEFORE)
        kind, program = _TYPES[self.direction], self.program
        return by_link(
            lambda: bpf.link_create(prog_fd, self.ifindex, kind, flags=flags, beside=program),
            self,
            "TCX",
        )

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code == errno.ERANGE:
            return Unsupported("its chain is full", errno=code)
        if code in (errno.ENOENT, errno.ESTALE):
            return Unsupported("it is no longer in its chain", errno=code)
        return None


def missing() -> ProbeError | None:
    """Return why we have no TCX. No interface has that number: ENODEV where TCX exists."""
    try:
        fd = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(_NEXT))
    except OSError as refused:
        return _refused(refused.errno or 0)
    try:
        os.close(bpf.link_create(fd, _NOWHERE, AttachType.TCX_INGRESS))
    except OSError as refused:
        return None if refused.errno == errno.ENODEV else _refused(refused.errno or 0)
    finally:
        os.close(fd)
    return None


def _refused(code: int) -> ProbeError:
    if code in (errno.EPERM, errno.EACCES) or short(code):
        return privileged(code, "the kernel refused TCX", capabilities.BPF, capabilities.NET_ADMIN)
    return Unsupported(NO_TCX, errno=code)
