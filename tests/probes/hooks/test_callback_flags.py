"""Why open connections are not given callbacks, each in a sentence with what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from errno import EPERM
from pathlib import Path
from typing import Any

import pytest

from probes.errors import Denied, ProbeError, Unsupported
from probes.hooks.tcp_rtt import callback_flags
from probes.hooks.tcp_rtt.callback_flags import OtherNamespaces
from probes.hooks.tcp_rtt.sock_ops_programs import SockOpsPrograms
from probes.kernel import btf, capabilities, cgroups, net_namespaces
from probes.kernel.net_namespaces import NetNamespaces


@pytest.fixture(autouse=True)
def _possible(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host where nothing is against it."""
    for module, name, value in (
        (btf, "available", True),
        (btf, "mentions", True),
        (capabilities, "missing", ()),
        (cgroups, "root", Path("/")),
        (cgroups, "id_of", 1),
    ):
        monkeypatch.setattr(module, name, _returns(value))
    monkeypatch.setattr(SockOpsPrograms, "read", _returns({7: "ebpftop_watch"}))


def _returns(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def _refused() -> ProbeError:
    refusal = callback_flags.refused()
    assert refusal is not None
    return refusal


def test_programs_of_ebpftop_are_no_obstacle() -> None:
    assert callback_flags.refused() is None


def test_a_kernel_without_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(btf, "available", _returns(False))
    assert isinstance(_refused(), Unsupported)


def test_a_kernel_before_6_12(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(btf, "mentions", _returns(False))
    assert isinstance(_refused(), Unsupported)
    assert "Linux 6.12" in _refused().why


def test_a_user_who_may_not_look_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "missing", _returns(("CAP_SYS_ADMIN",)))
    assert isinstance(_refused(), Denied)
    assert "CAP_SYS_ADMIN" in _refused().why
    assert _refused().remedy == capabilities.ROOT


def test_a_container_s_part_of_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "id_of", _returns(7))
    assert isinstance(_refused(), Unsupported)
    assert "part of the cgroup tree" in _refused().why
    assert "container" in _refused().remedy


def test_no_cgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "root", _returns(None))
    assert _refused().remedy == cgroups.MOUNT


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ({4: "acme"}, "the sock_ops program acme#4 as well"),
        ({4: "", 9: "ebpftop_x"}, "the sock_ops program without a name#4 as well"),
        ({4: "acme", 5: "b", 6: "c"}, "the sock_ops program acme#4 and 2 more as well"),
    ],
)
def test_somebody_s_programs(
    monkeypatch: pytest.MonkeyPatch, there: dict[int, str], named: str
) -> None:
    monkeypatch.setattr(SockOpsPrograms, "read", _returns(there))
    assert isinstance(_refused(), Denied)
    assert named in _refused().why
    assert _refused().remedy


def test_programs_that_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(EPERM, "no")

    monkeypatch.setattr(SockOpsPrograms, "read", refuse)
    assert isinstance(_refused(), Denied)
    assert (_refused().errno, "cannot tell whether" in _refused().why) == (EPERM, True)


# -- other network namespaces ------------------------------------------------------------------


class Clock:
    """A time that only visits pass."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(callback_flags, "monotonic", clock)
    return clock


@pytest.fixture
def namespaces(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    found: dict[int, int] = {}
    monkeypatch.setattr(NetNamespaces, "find", lambda _: dict(found))
    monkeypatch.setattr(net_namespaces, "roaming", lambda work: work(lambda _pid, _inode: None))
    return found


def _visited(clock: Clock, took: float) -> tuple[OtherNamespaces, list[float]]:
    visits: list[float] = []

    def iterate() -> bytes:
        visits.append(clock.now)
        clock.now += took
        return b""

    return OtherNamespaces(iterate), visits


def test_each_namespace_is_visited_once_and_again_after_a_while(
    clock: Clock, namespaces: dict[int, int]
) -> None:
    others, visits = _visited(clock, 0.0)
    namespaces |= {1: 10, 2: 20}
    for _ in range(3):
        others.visit()
    assert len(visits) == 2
    namespaces[3] = 30
    others.visit()
    assert len(visits) == 3
    clock.now += NetNamespaces.AGAIN
    others.visit()
    assert len(visits) == 6
    others.begin_again()
    others.visit()
    assert len(visits) == 9


def test_many_namespaces_take_turns_and_a_small_part_of_the_time(
    clock: Clock, namespaces: dict[int, int]
) -> None:
    """However many there are: at most a hundredth of one CPU, once all were visited."""
    others, visits = _visited(clock, 0.02)
    namespaces |= {n: n for n in range(1, 101)}
    while len(visits) < 100:
        before, begin = len(visits), clock.now
        others.visit()
        assert len(visits) > before
        assert clock.now - begin <= others.SLICE + 0.02
    visits.clear()
    begin = clock.now
    while clock.now < begin + 1000:
        clock.now += 1
        others.visit()
    assert 0 < len(visits) * 0.02 <= 1000 / others.REST + 2.0


def test_a_namespace_that_may_not_be_entered_is_named(
    clock: Clock, namespaces: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever others may be entered, and until it may, or is gone."""
    closed = {1}

    def enter(_pid: int, namespace: int) -> None:
        if namespace in closed:
            raise Denied("no entry")

    monkeypatch.setattr(net_namespaces, "roaming", lambda work: work(enter))
    namespaces |= {1: 10, 2: 20}
    others, visits = _visited(clock, 0.0)
    others.visit()
    assert len(visits) == 1
    assert "no entry" in others.note
    closed.clear()
    clock.now += NetNamespaces.AGAIN
    others.visit()
    assert others.note == ""
    closed.add(2)
    clock.now += NetNamespaces.AGAIN
    others.visit()
    assert "no entry" in others.note
    del namespaces[2]
    clock.now += NetNamespaces.AGAIN
    others.visit()
    assert others.note == ""
