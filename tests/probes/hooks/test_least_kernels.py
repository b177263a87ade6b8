"""The least kernel that a rung says: no older than what its C asks for came with."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from probes.attach.cgroup import CgroupAttach, CgroupLink
from probes.attach.tracepoint import BtfTracepoint
from probes.attach.trampoline import Fentry, Fexit
from probes.custom import builder
from probes.hooks import catalogue
from probes.model import Hook, Rung

Version = tuple[int, int]
ASKS: tuple[tuple[str, Version], ...] = (
    (r'"lru_(percpu_)?hash"', (4, 10)),
    (r"bpf_get_current_task\(", (4, 8)),
    (r"bpf_get_current_cgroup_id\(", (4, 18)),
    (r"^BPF_SOCKHASH", (4, 18)),
    (r"^BPF_QUEUE", (4, 20)),
    (r"ctx->gso_segs|skb->gso_segs", (5, 1)),
    (r"kernfs_node \*", (5, 5)),  # whose id became a number then
    (r"BPF_FUNC_setsockopt\)", (5, 16)),  # in an iterator over TCP sockets
    (r"TCP_BPF_SOCK_OPS_CB_FLAGS", (6, 12)),
)
"""What the C of a program of any kind may ask for, and since when there is that."""
AT_CGROUPS: tuple[tuple[str, Version], ...] = (
    (r"PROBE_KERNEL\(\(|bpf_get_current_task\(", (5, 8)),  # bpf_base_func_proto
    (r"bpf_skc_to_", (5, 10)),  # bpf_sk_base_func_proto
)
"""The same for programs at cgroups and sockets."""
TYPED: tuple[tuple[str, Version], ...] = ((r"bpf_skc_to_", (5, 9)),)
"""And for those with BTF."""


def _hooks() -> Iterator[Hook]:
    yield from catalogue().values()
    yield builder.hook("tracepoint:sched:sched_switch,by=pid")
    yield builder.hook("uprobe:/bin/true:main,by=cgroup")


def _rungs() -> Iterator[tuple[str, Rung, str]]:
    for hook in _hooks():
        target = {"": None, "interface": "lo", "syscall": "openat"}[str(hook.target)]
        for rung in hook.ladder:
            if rung.source and rung.programs:
                yield f"{hook.name}:{rung.name}", rung, rung.source_for(target)


def _wanted(rung: Rung, source: str) -> dict[str, Version]:
    """Of programs that it cannot do without."""
    points = [p.point for p in rung.programs if not p.optional]
    asks = [*ASKS]
    if any(isinstance(p, CgroupLink | CgroupAttach) for p in points):
        asks += AT_CGROUPS
    if any(isinstance(p, BtfTracepoint | Fentry | Fexit) for p in points):
        asks += TYPED
    return {ask: since for ask, since in asks if re.search(ask, source, re.MULTILINE)}


@pytest.mark.parametrize(
    ("rung", "source"), [pytest.param(rung, source, id=name) for name, rung, source in _rungs()]
)
def test_a_rung_s_least_kernel_has_what_its_programs_ask_for(rung: Rung, source: str) -> None:
    found = re.match(r"Linux (\d+)\.(\d+)", rung.requires)
    assert found, rung.requires
    said = int(found[1]), int(found[2])
    assert {ask: since for ask, since in _wanted(rung, source).items() if since > said} == {}
