"""Chains of many interfaces: a new program is seen at once, all else some readings later."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from probes.attach import tcx
from probes.foreign.tc_chains import TURNS, Chains
from probes.kernel import bpf
from probes.point import AttachType, ProgType
from tests.support.namespaces import namespace, run

pytestmark = pytest.mark.kernel
NEXT = bpf.exit_with(-1)
PAIRS = 20


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    if (missing := tcx.missing()) is not None:
        pytest.skip(f"{missing.code}: {missing.why}")
    with namespace():
        for n in range(PAIRS):
            run("ip", "link", "add", "name", f"l{n}", "type", "veth", "peer", "name", f"r{n}")
        yield


def _attached(program: int, name: str) -> int:
    index = socket.if_nametoindex(name)
    return bpf.link_create(program, index, AttachType.TCX_INGRESS)


def _seen(chains: Chains, interface: str) -> int:
    """How many readings it takes until a program is seen on an interface."""
    for n in range(1, TURNS + 1):
        if any(one.interface == interface for one in chains.list()):
            return n
    raise AssertionError(interface)


def test_programs_are_seen_when_they_come_and_no_longer_when_they_go() -> None:
    chains = Chains()
    assert chains.list() == []
    program = bpf.prog_load(ProgType.SCHED_CLS, NEXT)
    links = [_attached(program, "l7")]
    try:
        assert _seen(chains, "l7") == 1, "it was loaded since the reading before"
        for _ in range(TURNS):
            assert [one.interface for one in chains.list()] == ["l7"]
        links.append(_attached(program, "r19"))
        _seen(chains, "r19")
        os.close(links.pop())
        os.close(links.pop())
        for _ in range(TURNS):
            left = chains.list()
        assert left == []
        links.append(_attached(program, "l0"))
        run("ip", "link", "add", "name", "new0", "type", "veth", "peer", "name", "new1")
        links.append(_attached(program, "new0"))
        assert _seen(chains, "new0") == 1, "an interface that comes is asked at once"
    finally:
        for fd in (*links, program):
            os.close(fd)
