"""What `--remote` asks before it sends a bundle."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from probes.compile.bundle import Needs
from probes.compile.kernel_build import KernelBuild
from probes.sources.remote.ssh import by_ssh
from tui.commands import _offering


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of the terminal that is asked on."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield ours
    os.close(ours)


def _host(pings: list[str]) -> Any:
    async def ping() -> None:
        pings.append("ping")
        if len(pings) == 3:
            os.write(int(pings[0]), b"y\n")

    return SimpleNamespace(name="web1", ping=ping)


@pytest.mark.parametrize(
    ("typed", "agreed"),
    [("\n", True), ("y\n", True), ("n\n", False), ("No\n", False), ("\4", False)],
)
async def test_it_is_sent_unless_somebody_says_no(
    person: int, typed: str, agreed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    os.write(person, typed.encode())
    assert await _offering._agreed(_host([]), Path("/x/web1.bundle")) is agreed
    asked = capsys.readouterr().err
    assert asked.startswith(
        "web1 has no bcc. Copy /x/web1.bundle to /var/lib/ebpftop/bundles there"
    )


async def test_the_connection_is_kept_while_somebody_thinks(
    person: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_offering, "_PING", 0.01)
    pings = [str(person)]
    assert await _offering._agreed(_host(pings), Path("/x"))
    assert len(pings) >= 3


def test_the_commands_that_make_one_are_said() -> None:
    here = KernelBuild("6.1.0", "#1 SMP", "x86_64", "0f")
    way = by_ssh("ops@web1", "sudo ebpftop", ssh="true")
    copy = "ssh ops@web1 cat /sys/kernel/btf/vmlinux >web1.btf; sudo ebpftop bundle --btf web1.btf"
    for there, said in (
        (here, "on a host with bcc: sudo ebpftop bundle --output web1.bundle"),
        (here._replace(release="6.1.9"), f"on a host with bcc: {copy}"),
        (
            here._replace(machine="aarch64"),
            f"on a host with bcc and its architecture (aarch64): {copy}",
        ),
    ):
        made = _offering._how_to_make(Needs(there, "", locked=False), way, here)
        assert made == f"{said}; then add --bundle web1.bundle"


async def test_without_a_terminal_nothing_is_asked_and_nothing_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Path(os.devnull).open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert not await _offering._agreed(_host([]), Path("/x"))
