"""Functions of the kernel, security hooks and other programs, by trampoline."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass

from probes.attach import kprobe
from probes.attach.handle import Handle, by_link
from probes.attach.refusals import last_words
from probes.errors import Denied, ProbeError, Unsupported
from probes.kernel import bpf, btf, capabilities
from probes.point import AttachType, Loading, Point, ProgType


class _Trampoline(Point):
    """A function that the program was loaded for; BPF_RAW_TRACEPOINT_OPEN attaches to it."""

    __slots__ = ()

    needs = capabilities.BPF, capabilities.PERFMON

    @property
    def what(self) -> str:
        """What it is attached to, in words."""
        raise NotImplementedError

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        return by_link(lambda: bpf.raw_tracepoint_open(prog_fd), self, self.what)

    def explain_load(self, code: int, log: str) -> ProbeError | None:
        if code in (errno.EPERM, errno.EACCES) and not log and _loads_others():
            why = "this kernel's policy refuses programs on trampolines (fentry, fexit, LSM)"
            return Denied(why, errno=code)
        return None

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code != errno.EINVAL:
            return None
        return Unsupported(f"this kernel cannot attach such a program to the {what}", errno=code)


class _OfFunction(_Trampoline):
    """The entry or exit of a kernel function."""

    __slots__ = ()

    function: str

    @property
    def what(self) -> str:
        return f"function {self.function}"

    def explain_last(self, code: int, log: str) -> ProbeError | None:
        if code != errno.ENOENT:
            return None
        return Unsupported(f"this kernel has no code for {self.function}", errno=code)


@dataclass(frozen=True, slots=True)
class Fentry(_OfFunction):
    """The entry of a kernel function, by trampoline. Linux 5.5 (arm64: 6.0), BTF."""

    function: str

    def loading(self) -> Loading:
        return Loading(ProgType.TRACING, AttachType.TRACE_FENTRY, _traced(self.function))


@dataclass(frozen=True, slots=True)
class Fexit(_OfFunction):
    """The exit of a kernel function, with its arguments and result. Linux 5.5, BTF."""

    function: str

    def loading(self) -> Loading:
        return Loading(ProgType.TRACING, AttachType.TRACE_FEXIT, _traced(self.function))


@dataclass(frozen=True, slots=True)
class FexitOf(_Trampoline):
    """The exit of somebody else's BPF program, with its context and verdict. Linux 5.6.

    program: its fd. function: the id of its main function in its own BTF, 0 where it has none.
    """

    program: int
    function: int

    @property
    def what(self) -> str:
        return "program"

    def loading(self) -> Loading:
        if not self.function:
            raise Unsupported("it was loaded without type information (BTF)")
        return Loading(ProgType.TRACING, AttachType.TRACE_FEXIT, self.function, self.program)

    def explain_last(self, code: int, log: str) -> ProbeError | None:
        why = "the kernel does not allow it to be followed"
        return Unsupported(f"{why}: {last_words(log)}" if log else why, errno=code)


@dataclass(frozen=True, slots=True)
class Lsm(_Trampoline):
    """A hook of the security modules ("file_open"), by trampoline. Linux 5.7, BTF, bpf in lsm=.

    The program returns what the modules before it returned: it only observes.
    """

    hook: str

    @property
    def what(self) -> str:
        return f"security hook {self.hook}"

    def loading(self) -> Loading:
        what = f"security hook {self.hook} for programs"
        id = btf.required(btf.function(f"bpf_lsm_{self.hook}"), what)
        return Loading(ProgType.LSM, AttachType.LSM_MAC, id)


def _traced(function: str) -> int:
    """Return the BTF id of a function that a trampoline sees whole. Raises Unsupported."""
    symbol = kprobe.whole(function, as_declared=True)
    id = btf.required(btf.function(function), f"type information on the function {function}")
    if symbol != function:
        raise Unsupported(f"this kernel has {function} only as {symbol}, which needs a kprobe")
    return id


def _loads_others() -> bool:
    """Return whether programs of another kind for tracing can be loaded."""
    try:
        os.close(bpf.prog_load(ProgType.RAW_TRACEPOINT, bpf.exit_with(0)))
    except OSError:
        return False
    return True
