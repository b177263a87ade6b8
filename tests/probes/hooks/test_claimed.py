"""Why open connections are not given callbacks, each in a sentence with what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from errno import EPERM
from pathlib import Path
from typing import Any

import pytest

from probes.errors import Denied, ProbeError, Unsupported
from probes.hooks.tcp_rtt import claimed
from probes.hooks.tcp_rtt.bystanders import SockOpsPrograms
from probes.kernel import btf, cgroups, privilege


@pytest.fixture(autouse=True)
def _possible(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host where nothing is against it."""
    for module, name, value in (
        (btf, "available", True),
        (btf, "mentions", True),
        (privilege, "missing", ()),
        (cgroups, "root", Path("/")),
        (cgroups, "id_of", 1),
    ):
        monkeypatch.setattr(module, name, _returns(value))
    monkeypatch.setattr(SockOpsPrograms, "read", _returns({7: "ebpftop_watch"}))


def _returns(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def _refused() -> ProbeError:
    refusal = claimed.refused()
    assert refusal is not None
    return refusal


def test_programs_of_ebpftop_are_no_obstacle() -> None:
    assert claimed.refused() is None


def test_a_kernel_without_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(btf, "available", _returns(False))
    assert isinstance(_refused(), Unsupported)


def test_a_kernel_before_6_12(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(btf, "mentions", _returns(False))
    assert isinstance(_refused(), Unsupported)
    assert "Linux 6.12" in _refused().why


def test_a_user_who_may_not_look_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privilege, "missing", _returns(("CAP_SYS_ADMIN",)))
    assert isinstance(_refused(), Denied)
    assert "CAP_SYS_ADMIN" in _refused().why
    assert _refused().remedy == privilege.ROOT


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
    assert (_refused().errno, "cannot be asked" in _refused().why) == (EPERM, True)
