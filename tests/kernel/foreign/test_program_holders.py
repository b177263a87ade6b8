"""Who holds a program at an interface: a link's process, a pin, or nobody any more."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.foreign.names import ProgramNames
from probes.foreign.program_holders import NOBODY, ProgramHolders, holders
from probes.kernel import bpf, procfs
from tests.support.foreign import Somebody, somebody
from tests.support.namespaces import namespace, run, veth

pytestmark = pytest.mark.kernel


@pytest.fixture
def who(tmp_path: Path) -> Iterator[Somebody]:
    with namespace(), somebody(tmp_path) as them:
        yield them


def found(held: ProgramHolders, program: int, *, again: bool = False) -> str:
    """What it says of a program, as soon as it is known. again: after a look that is due now."""
    deadline = time.monotonic() + 20
    if again:
        held._next = held._old = 0.0
    while True:
        held.keep([program])
        told = held.of(program)
        if told is not None and (held._task is None or not held._task.alive):
            return told
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_process_of_a_link_and_not_who_looks_on(who: Somebody) -> None:
    """ebpftop has it open as well, as it counts what it does."""
    one, _ = veth()
    program = who.xdp_by_link(one, "generic")
    fd = bpf.prog_fd_by_id(program)
    try:
        told = found(ProgramHolders(), program)
    finally:
        os.close(fd)
    comm, _, pid = told.rpartition("(")
    assert comm.startswith("python")
    assert procfs.comm(int(pid.removesuffix(")"))) == comm
    assert int(pid.removesuffix(")")) != os.getpid()


def test_a_pin_beside_it_and_alone(who: Somebody, tmp_path: Path) -> None:
    one, _ = veth()
    program = who.xdp_by_link(one, "generic")
    who.ask("pin", program, str(tmp_path / "here"))
    told = found(ProgramHolders(), program)
    assert told.startswith("python")
    assert told.endswith(f", pin {tmp_path / 'here'}")


def test_nobody_once_the_process_has_gone_which_netlink_does_not_mind(who: Somebody) -> None:
    veth()
    program = who.xdp_by_netlink("v0", "generic")
    held = ProgramHolders()
    assert found(held, program).startswith("python")
    held._old = held._next = time.monotonic() + 1000
    who.close()
    assert held._gone(), "a look is due before its time"
    assert found(held, program, again=True) == NOBODY
    assert not held._gone()
    run("ip", "link", "set", "dev", "v0", "xdpgeneric", "off")


def test_what_was_not_looked_at_to_the_end_is_not_nobody_s(
    who: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    veth()
    program = who.xdp_by_netlink("v0", "generic")
    monkeypatch.setattr("probes.foreign.program_holders.WALK_SECONDS", -1.0)
    assert holders([program], ProgramNames()) == {}
    run("ip", "link", "set", "dev", "v0", "xdpgeneric", "off")
