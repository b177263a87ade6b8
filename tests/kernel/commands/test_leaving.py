"""Leaving with everything attached: in time, and nothing of it stays."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, ROOT, held, left_of
from tests.support.namespaces import namespace, run, veth
from tests.support.terminals import Terminal, restored, terminal

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

DEVICE = "v0"
LASTING = ("xdp=netlink-generic", "tc-ingress=clsact", "tc-egress=clsact")
SOON = 20.0
"""Seconds: a generous bound, also for a busy machine."""
SCREEN = """
import sys
from tui.cli import main
from tui.terminal import leaving
leaving.run(lambda: main({arguments}))
"""


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        veth(DEVICE, "v1")
        yield


def _arguments(flag: str) -> list[str]:
    asked = [word for pin in LASTING for word in ("--rung", pin)]
    for hook in ("xdp", "tc-ingress", "tc-egress"):
        asked += [flag, f"{hook}@{DEVICE}"]
    return asked


def _stands() -> bool:
    return "xdp" in run("ip", "link", "show", DEVICE) and _clsact()


def _clsact() -> bool:
    return "ebpftop" in run("tc", "filter", "show", "dev", DEVICE, "ingress")


def _nothing_stands() -> bool:
    clean = "xdp" not in run("ip", "link", "show", DEVICE)
    return clean and "clsact" not in run("tc", "qdisc", "show", "dev", DEVICE)


def _until_it_stands(take: object = None) -> None:
    limit = time.monotonic() + SOON
    while not _stands():
        assert time.monotonic() < limit, "it was not attached"
        if callable(take):
            take()
        time.sleep(0.05)


@contextmanager
def _command(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("signals", [("TERM", "CONT", "CONT"), ("QUIT",), ("XCPU",)], ids="-".join)
@pytest.mark.parametrize("reads", [True, False], ids=["read", "stalled"])
def test_stream_leaves_nothing_attached(signals: Sequence[str], reads: bool) -> None:
    """Also while nobody takes what it prints, so that nothing can go on in order."""
    asked = ("stream", "--interval", "0.2", *_arguments("--hook"))
    everything = ("--hook", "syscalls", "--hook", "programs")
    with _command(*asked, *everything) as child:
        if reads:
            assert child.stdout is not None
            child.stdout.readline()
        _until_it_stands()
        if not reads:
            time.sleep(4)  # until the pipe is full
        programs, links = held(child.pid)
        assert programs
        for name in signals:
            child.send_signal(signal.Signals[f"SIG{name}"])
        if reads:
            child.communicate(timeout=SOON)
        assert child.wait(SOON) == 128 + signal.Signals[f"SIG{signals[0]}"]
    assert left_of(programs, links) == (set(), set())
    assert _nothing_stands()


@pytest.mark.parametrize(
    "signals", [("TERM", "CONT"), ("USR1",), ("ALRM", "TSTP"), ("HUP", "TERM", "INT")], ids="-".join
)
@pytest.mark.parametrize("moment", ["painting", "prompting", "suspended"])
def test_the_screen_leaves_nothing_attached(
    signals: Sequence[str], moment: str, tmp_path: Path
) -> None:
    """The terminal is as it was."""
    code = SCREEN.format(arguments=_arguments("--attach"))
    with terminal(code, tmp_path, XDG_CONFIG_HOME=str(tmp_path)) as child:
        _until_it_stands(child.take)
        _bring_to(moment, child)
        programs, links = held(child.pid)
        assert programs
        for name in (*signals, "CONT"):
            child.send(name)
        ending = {128 + signal.Signals[f"SIG{name}"] for name in signals}
        assert child.leave() in ending
        assert restored(child)
    assert left_of(programs, links) == (set(), set())
    assert _nothing_stands()


def _bring_to(moment: str, child: Terminal) -> None:
    if moment == "prompting":
        child.type(b"/")
        child.read_until(b"Filter:")
    elif moment == "suspended":
        child.type(b"\x1a")
        child.until_state("T")
