"""clsact: our filter comes and goes, and whatever anybody else has there stays as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from probes.errors import Busy, Gone
from probes.kernel import bpf
from probes.kernel.netlink import clsact, route
from probes.kernel.netlink.clsact import clsact_attach, clsact_detach
from probes.point import ProgType
from tests.support.namespaces import namespace, run, send, veth

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes qdiscs and filters: needs root"),
]
UNSPEC, SHOT = -1, 2


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def program() -> Iterator[int]:
    """A filter of ours that lets every packet go on."""
    fd = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(UNSPEC), name="ebpftop_test")
    yield fd
    os.close(fd)


def _foreign(device: str, direction: str, priority: int) -> None:
    """Somebody else's filter: classic bytecode that matches everything, without an action."""
    run("tc", "filter", "add", "dev", device, direction, "prio", str(priority),
        "bpf", "bytecode", "1,6 0 0 4294967295,")  # fmt: skip


def _state(device: str) -> tuple[str, str, str]:
    """What tc shows, without its counters."""
    return (
        run("tc", "qdisc", "show", "dev", device),
        run("tc", "filter", "show", "dev", device, "ingress"),
        run("tc", "filter", "show", "dev", device, "egress"),
    )


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_the_qdisc_that_we_made_goes_with_our_filter(direction: str, program: int) -> None:
    index, _ = veth()
    before = _state("v0")
    ours = clsact_attach(index, direction, program, "ebpftop:test")
    assert ours.made_qdisc
    assert "ebpftop:test direct-action" in run("tc", "filter", "show", "dev", "v0", direction)
    assert clsact_detach(ours) is True
    assert _state("v0") == before
    assert clsact_detach(ours) is False


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_every_packet_runs_through_it_and_goes_on(direction: str, program: int) -> None:
    """N frames are N runs of our program, and N runs of the foreign one behind it."""
    index, _ = veth()
    foreign = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(SHOT), name="foreign")
    run("tc", "qdisc", "add", "dev", "v0", "clsact")
    with IPRoute() as ip:
        parent = route.DIRECTIONS[direction]
        ip.tc("add-filter", "bpf", index, 1, fd=foreign, name="foreign", parent=parent, prio=7,
              direct_action=True)  # fmt: skip
    ours = clsact_attach(index, direction, program, "ebpftop:test")
    assert (ours.priority, ours.behind) == (6, 0)
    stats = bpf.enable_stats()
    send("v1" if direction == "ingress" else "v0", 31)
    os.close(stats)
    assert bpf.prog_info(program).runs == bpf.prog_info(foreign).runs == 31
    clsact_detach(ours)
    assert [f.name for f in route.filters(index, direction) if f.handle] == ["foreign"]
    (qdisc,) = [q for q in route.qdiscs() if (q.ifindex, q.kind) == (index, "clsact")]
    assert qdisc.drops == 31
    os.close(foreign)


def test_a_foreign_qdisc_and_filter_are_left_alone(program: int) -> None:
    index, _ = veth()
    run("tc", "qdisc", "add", "dev", "v0", "clsact")
    _foreign("v0", "ingress", 49152)
    before = _state("v0")
    ours = clsact_attach(index, "ingress", program, "ebpftop:test")
    assert not ours.made_qdisc
    clsact_detach(ours)
    assert _state("v0") == before


def test_a_qdisc_that_we_made_stays_while_somebody_uses_it(program: int) -> None:
    index, _ = veth()
    ours = clsact_attach(index, "ingress", program, "ebpftop:test")
    _foreign("v0", "egress", 3)
    clsact_detach(ours)
    assert clsact.qdisc(index) == "clsact"
    assert {f.priority for f in route.filters(index, "egress")} == {3}
    assert route.filters(index, "ingress") == []


def test_behind_a_filter_of_priority_1_it_says_so(program: int) -> None:
    index, _ = veth()
    run("tc", "qdisc", "add", "dev", "v0", "clsact")
    for priority in (1, 2, 4):
        _foreign("v0", "ingress", priority)
    ours = clsact_attach(index, "ingress", program, "ebpftop:test")
    assert (ours.priority, ours.behind) == (3, 2)
    clsact_detach(ours)
    assert {f.priority for f in route.filters(index, "ingress")} == {1, 2, 4}


def test_only_the_filter_with_our_name_and_program_is_removed(program: int) -> None:
    """Another program under our name, and our program under another name, both stay."""
    index, _ = veth()
    other = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(UNSPEC), name="other")
    ours = clsact_attach(index, "ingress", program, "ebpftop:test")
    same_name = clsact_attach(index, "ingress", other, "ebpftop:test")
    same_program = clsact_attach(index, "ingress", program, "foreign")
    os.close(other)
    assert clsact_detach(ours) is True
    left = {(f.name, f.program_id) for f in route.filters(index, "ingress") if f.handle}
    assert left == {
        ("ebpftop:test", same_name.program_id),
        ("foreign", same_program.program_id),
    }


def test_an_ingress_qdisc_serves_ingress_and_refuses_egress(program: int) -> None:
    """There, the kernel would take a filter for egress as one for ingress."""
    index, _ = veth()
    run("tc", "qdisc", "add", "dev", "v0", "ingress")
    with pytest.raises(Busy, match="ingress qdisc"):
        clsact_attach(index, "egress", program, "ebpftop:test")
    ours = clsact_attach(index, "ingress", program, "ebpftop:test")
    clsact_detach(ours)
    assert clsact.qdisc(index) == "ingress"
    assert route.filters(index, "ingress") == []


def test_a_refused_filter_leaves_no_qdisc(program: int) -> None:
    """A program of another type is refused by the kernel after the qdisc was made."""
    index, _ = veth()
    before = _state("v0")
    wrong = bpf.prog_load(ProgType.XDP, bpf.exit_with(2), name="ebpftop_test")
    with pytest.raises(Exception, match="clsact filter"):
        clsact_attach(index, "ingress", wrong, "ebpftop:test")
    os.close(wrong)
    assert _state("v0") == before
    with pytest.raises(Gone):
        clsact_attach(1 << 20, "ingress", program, "ebpftop:test")


def test_no_fd_is_left_open(program: int) -> None:
    index, _ = veth()
    clsact_detach(clsact_attach(index, "ingress", program, "ebpftop:test"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        clsact_detach(clsact_attach(index, "ingress", program, "ebpftop:test"))
        route.links()
    # Fewer where the shared compiler's idle child went meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
