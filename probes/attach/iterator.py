"""Iterators: programs that run over all of the kernel's objects of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from probes.attach.handle import Handle, by_link
from probes.kernel import bpf, btf, capabilities
from probes.point import AttachType, Loading, Point, ProgType


@dataclass(frozen=True, slots=True)
class Iterator(Point):
    """Runs over all of the kernel's objects of a kind, when it is read. Linux 5.8, BTF.

    kind: "tcp", the TCP sockets of the reader's network namespace, 5.9.
    """

    kind: str

    needs = capabilities.BPF, capabilities.PERFMON
    iterates = True

    def loading(self) -> Loading:
        id = btf.required(btf.function(f"bpf_iter_{self.kind}"), f"iterator over {self.kind}")
        return Loading(ProgType.TRACING, AttachType.TRACE_ITER, id)

    def attach(self, prog_fd: int, ifindex: int, maps: Mapping[str, int]) -> Handle:
        what, kind = f"iterator over {self.kind}", AttachType.TRACE_ITER
        return by_link(lambda: bpf.link_create(prog_fd, 0, kind), self, what)
