"""Functions of the kernel: by the kprobe PMU, and by a bpf_link on ftrace."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from probes.attach import perf_event
from probes.attach.handle import Handle, by_link
from probes.errors import ProbeError, Unsupported
from probes.kernel import bpf, capabilities, kallsyms, sysfs
from probes.point import AttachType, Loading, Point, ProgType

FEW_RETURNS = (
    "some calls that wait in the kernel are missed: there is room for few at a time (two for each"
    " CPU; at least ten where the kernel is preemptible)"
)
"""Calls that programs at a function's return miss unreported, unless they are on trampolines."""


class _ByPmu(Point):
    """A kernel function by the kprobe PMU."""

    __slots__ = ()

    needs = capabilities.BPF, capabilities.PERFMON
    returns: ClassVar[bool]

    def loading(self) -> Loading:
        return Loading(ProgType.KPROBE)

    def check(self, ifindex: int) -> None:
        self.symbol()

    def symbol(self) -> tuple[int, str]:
        """Return the PMU's number and the name the function has here. Raises Unsupported."""
        raise NotImplementedError

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        pmu, symbol = self.symbol()
        config, what = 1 if self.returns else 0, f"function {symbol}"
        return perf_event.attach(prog_fd, self, what, pmu, config, symbol.encode())

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code == errno.EINVAL:
            return Unsupported(f"this kernel does not allow probes on the {what}", errno=code)
        if code == errno.EADDRNOTAVAIL:
            return Unsupported(f"this kernel has more than one {what}", errno=code)
        return None


@dataclass(frozen=True, slots=True)
class Kprobe(_ByPmu):
    """The entry of a kernel function, by the kprobe PMU. Linux 4.17, CONFIG_KPROBES.

    arguments: the program reads them. One that only counts can be attached to a copy that the
    compiler made, where they are others.
    """

    function: str
    arguments: bool = True

    returns = False

    def symbol(self) -> tuple[int, str]:
        return _pmu(), whole(self.function, as_declared=self.arguments)


@dataclass(frozen=True, slots=True)
class Kretprobe(_ByPmu):
    """The return of a kernel function, by the kprobe PMU. Linux 4.17, CONFIG_KPROBES.

    result: the program reads it, or what the call got. See `Kprobe.arguments`.
    """

    function: str
    result: bool = True

    returns = True

    def symbol(self) -> tuple[int, str]:
        return _pmu(), whole(self.function, as_declared=self.result)


class _ByFtrace(Point):
    """A kernel function by a bpf_link on ftrace."""

    __slots__ = ()

    needs = capabilities.BPF, capabilities.PERFMON

    def loading(self) -> Loading:
        return Loading(ProgType.KPROBE, AttachType.TRACE_KPROBE_MULTI)

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        match code:
            case errno.EOPNOTSUPP:
                why = "this kernel is built without fprobes"
            case errno.EINVAL:
                why = "this kernel has no links to functions (Linux 5.18)"
            case errno.ESRCH:
                why = f"ftrace does not cover the {what}"
            case _:
                return None
        return Unsupported(why, errno=code)


@dataclass(frozen=True, slots=True)
class KprobeMulti(_ByFtrace):
    """The entry of a kernel function, by a bpf_link on ftrace. Linux 5.18, CONFIG_FPROBE.

    arguments: see `Kprobe`.
    """

    function: str
    arguments: bool = True

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        return _traced(self, prog_fd, whole(self.function, as_declared=self.arguments))


@dataclass(frozen=True, slots=True)
class KretprobeMulti(_ByFtrace):
    """The return of a kernel function, by a bpf_link on ftrace. Linux 5.18, CONFIG_FPROBE."""

    function: str
    result: bool = True

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        symbol = whole(self.function, as_declared=self.result)
        return _traced(self, prog_fd, symbol, returns=True)


def _traced(point: Point, prog_fd: int, symbol: str, *, returns: bool = False) -> Handle:
    multi = AttachType.TRACE_KPROBE_MULTI
    return by_link(
        lambda: bpf.link_create_kprobe(prog_fd, multi, symbol, returns=returns),
        point,
        f"function {symbol}",
    )


def _pmu() -> int:
    try:
        return int(Path("/sys/bus/event_source/devices/kprobe/type").read_text())
    except FileNotFoundError:
        none = Unsupported("this kernel is built without kprobes", errno=errno.ENOENT)
        raise sysfs.not_mounted("whether the kernel has kprobes") or none from None


def whole(function: str, *, as_declared: bool) -> str:
    """Return the one symbol that all calls of a function go through. Raises Unsupported.

    The compiler may have renamed it: the same code, but with other arguments (.isra.0,
    .constprop.0), which only a program that reads none can do with: as_declared=False. Where
    there are several symbols, a counter on one would miss the calls of the others; they may as
    well be different functions, so all of them together are no better.
    """
    found = kallsyms.copies(function)
    if found is None:
        return function  # no kallsyms to look at: the kernel will tell
    if not found:
        raise Unsupported(f"this kernel has no function {function}", errno=errno.ENOENT)
    if parts := [symbol for symbol in found if ".part." in symbol]:
        raise Unsupported(
            f"the compiler split {function}: {parts[0]} is only a part of it, "
            "and the rest was inlined into its callers"
        )
    if len(found) > 1:
        names = ", ".join(sorted(set(found)))
        raise Unsupported(
            f"this kernel has {len(found)} functions of that name ({names}): "
            "a probe on one would miss calls"
        )
    (symbol,) = found
    if as_declared and (".isra." in symbol or ".constprop." in symbol):
        raise Unsupported(f"the compiler turned {function} into {symbol}, with other arguments")
    return symbol
