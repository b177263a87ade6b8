"""Attaching through perf_event_open(2), and sampling, which is nothing else."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from probes.attach.handle import Handle, several
from probes.attach.refusals import perf_refused
from probes.errors import ProbeError, Unsupported
from probes.kernel import capabilities, cpus
from probes.kernel import perf_event as events
from probes.point import Loading, Point, ProgType

TRACEPOINT = 2  # PERF_TYPE_TRACEPOINT
_COUNTERS = {"cycles": (0, 0), "cpu-clock": (1, 0)}
"""perf's type and number: PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES and so on."""


def attach(
    prog_fd: int,
    point: Point,
    what: str,
    kind: int,
    config: int,
    place: bytes | None = None,
    **how: int,
) -> Handle:
    """Attach a program to an event. place: the function's name. how: as `events.open_event`."""
    name = ctypes.create_string_buffer(place) if place is not None else None
    try:
        config1 = ctypes.addressof(name) if name else 0
        fd = events.open_event(kind, config, config1=config1, **how)
    except OSError as refused:
        raise perf_refused(refused.errno or 0, what, point) from None
    try:
        events.attach_program(fd, prog_fd)
    except OSError as refused:
        os.close(fd)
        raise perf_refused(refused.errno or 0, what, point) from None
    return Handle(lambda: os.close(fd))


@dataclass(frozen=True, slots=True)
class Samples(Point):
    """Samples at a fixed rate on each CPU, by a clock or by the processor's cycles. Linux 4.9.

    event: cycles (a hardware counter, which guests rarely have) or cpu-clock.
    """

    event: str
    hertz: int

    needs = capabilities.BPF, capabilities.PERFMON

    def loading(self) -> Loading:
        return Loading(ProgType.PERF_EVENT)

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        kind, config = _COUNTERS[self.event]
        what = f"counter {self.event}"
        return several(
            partial(attach, prog_fd, self, what, kind, config, cpu=cpu, hertz=self.hertz)
            for cpu in cpus.listed("online")
        )

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
            return Unsupported(f"this machine has no {what}", errno=code)
        return None
