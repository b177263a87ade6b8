"""Tracepoints, kprobes, uprobes and samples: programs that perf_event_open(2) attaches."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import partial
from pathlib import Path

from probes import point as points
from probes.attach.handle import Attached, several
from probes.attach.refusals import perf_refused
from probes.errors import Denied, Unsupported
from probes.kernel import bpf, kallsyms, privilege, tracefs
from probes.point import Point

MOUNT_TRACEFS = "As root: mount -t tracefs tracefs /sys/kernel/tracing"


def tracepoint(prog_fd: int, point: points.Tracepoint) -> Attached:
    id = tracepoint_id(point.category, point.name)
    return _perf(prog_fd, point, f"tracepoint {point.category}:{point.name}", 2, id)


def tracepoint_id(category: str, name: str) -> int:
    """A tracepoint's number from tracefs. Raises Unsupported or Denied, with what to do."""
    for root in tracefs.ROOTS:
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
    if not any((root / "events").is_dir() for root in tracefs.ROOTS):
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
        raise perf_refused(refused.errno or 0, what, point) from None
    try:
        bpf.perf_event_attach(fd, prog_fd)
    except OSError as refused:
        os.close(fd)
        raise perf_refused(refused.errno or 0, what, point) from None
    return Attached(lambda: os.close(fd))


_COUNTERS = {"cycles": (0, 0), "cpu-clock": (1, 0)}
"""perf's type and number: PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES and so on."""


def samples(prog_fd: int, point: points.Samples) -> Attached:
    kind, config = _COUNTERS[point.event]
    what = f"counter {point.event}"
    return several(
        partial(_perf, prog_fd, point, what, kind, config, cpu=cpu, hertz=point.hertz)
        for cpu in online_cpus()
    )


def online_cpus() -> list[int]:
    """The numbers of the CPUs that run now ("0-3,8" in sysfs)."""
    text = Path("/sys/devices/system/cpu/online").read_text()
    ranges = [part.partition("-") for part in text.strip().split(",")]
    return [cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)]


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
    found = kallsyms.copies(function)
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


def kprobe(prog_fd: int, point: points.Kprobe | points.Kretprobe) -> Attached:
    pmu, symbol = kprobe_symbol(point)
    returns = isinstance(point, points.Kretprobe)
    return _perf(prog_fd, point, f"function {symbol}", pmu, 1 if returns else 0, symbol.encode())
