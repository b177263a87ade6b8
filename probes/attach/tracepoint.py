"""Tracepoints: raw, with typed arguments, and through tracefs."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from probes.attach import perf_event
from probes.attach.handle import Handle, by_link
from probes.errors import Denied, ProbeError, Unsupported
from probes.kernel import bpf, btf, capabilities, tracefs
from probes.point import AttachType, Loading, Point, ProgType

MOUNT_TRACEFS = "As root: mount -t tracefs tracefs /sys/kernel/tracing"


class _Raw(Point):
    """A tracepoint that BPF_RAW_TRACEPOINT_OPEN attaches to."""

    __slots__ = ()

    needs = capabilities.BPF, capabilities.PERFMON

    def explain(self, code: int, what: str, ifindex: int) -> ProbeError | None:
        if code != errno.EINVAL:
            return None
        return Unsupported(f"this kernel cannot attach such a program to the {what}", errno=code)


@dataclass(frozen=True, slots=True)
class RawTracepoint(_Raw):
    """A tracepoint with its raw arguments. Linux 4.17; CAP_BPF and CAP_PERFMON."""

    name: str

    def loading(self) -> Loading:
        return Loading(ProgType.RAW_TRACEPOINT)

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        what = f"tracepoint {self.name}"
        return by_link(lambda: bpf.raw_tracepoint_open(prog_fd, self.name), self, what)


@dataclass(frozen=True, slots=True)
class BtfTracepoint(_Raw):
    """A tracepoint with typed arguments that are read directly (tp_btf). Linux 5.5, BTF."""

    name: str

    def loading(self) -> Loading:
        id = btf.required(btf.tracepoint(self.name), f"tracepoint {self.name}")
        return Loading(ProgType.TRACING, AttachType.TRACE_RAW_TP, id)

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        what = f"typed tracepoint {self.name}"
        return by_link(lambda: bpf.raw_tracepoint_open(prog_fd), self, what)


@dataclass(frozen=True, slots=True)
class Tracepoint(Point):
    """A tracepoint through tracefs and perf_event_open. Linux 4.7; needs tracefs readable."""

    category: str
    name: str

    needs = capabilities.BPF, capabilities.PERFMON

    def loading(self) -> Loading:
        return Loading(ProgType.TRACEPOINT)

    def check(self, ifindex: int) -> None:
        tracepoint_id(self.category, self.name)

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        id = tracepoint_id(self.category, self.name)
        what = f"tracepoint {self.category}:{self.name}"
        return perf_event.attach(prog_fd, self, what, perf_event.TRACEPOINT, id)


def tracepoint_id(category: str, name: str) -> int:
    """Return a tracepoint's number from tracefs. Raises Unsupported or Denied, with a remedy."""
    for root in tracefs.roots():
        try:
            return int((root / "events" / category / name / "id").read_text())
        except FileNotFoundError:
            continue
        except PermissionError:
            raise Denied(
                f"{root} is not readable by this user",
                errno=errno.EACCES,
                remedy="Run as root (sudo), or grant CAP_DAC_READ_SEARCH.",
            ) from None
    if not any((root / "events").is_dir() for root in tracefs.roots()):
        raise Unsupported(
            "tracefs is not mounted",
            errno=errno.ENOENT,
            remedy=MOUNT_TRACEFS,
        )
    if capabilities.lockdown() == "confidentiality":
        why, remedy = capabilities.why_not()
        raise Denied(f"{why}, which hides tracepoints", errno=errno.ENOENT, remedy=remedy)
    raise Unsupported(f"this kernel has no tracepoint {category}:{name}", errno=errno.ENOENT)
