"""Whatever is typed, pressed and resized, in whichever order: the screen stands, and is right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.recordings import demo_recording
from tests.support.walk import LONG, SHORT, walking

SEED = int(os.environ.get("WALK_SEED", "1"))
pytestmark = pytest.mark.slow
HOSTS = """
import asyncio, os, random, signal, sys
os.chdir({home!r})
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import SshCommand
from tui.screen import app
app.TOAST_SECONDS = 0.5

SERVE = (sys.executable, "-m", "tui.cli", "serve", "--demo")
NAMES = ("web1", "[red]db2[/]", "web3")
hosts = [Remote(SshCommand(name, SERVE, SERVE), interval=0.5, pauses=(0.3,)) for name in NAMES]


async def cut() -> None:
    "Now and then one of them is lost, or stands still."
    dice, children = random.Random(1), f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children"
    while True:
        await asyncio.sleep(1.5)
        with open(children) as file:
            pids = file.read().split()
        if pids:
            how = dice.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGCONT))
            os.kill(int(dice.choice(pids)), how)


async def connect() -> None:
    for host in hosts:
        await host.connect()
    hosts[0].cuts = asyncio.create_task(cut())


raise SystemExit(app.run(*hosts, connect=connect))
"""
"""Three hosts, each at the other end of a pipe."""


@pytest.mark.parametrize("tape", [LONG, SHORT], ids=["long tape", "short tape"])
def test_the_demo_stands(tmp_path: Path, tape: tuple[int, float]) -> None:
    with walking(SEED, tmp_path, "demo", "--interval", "0.2", tape=tape) as walk:
        for _ in range(2):
            walk.steps(60, 0.02)
            walk.check()


def test_a_recording_stands(tmp_path: Path) -> None:
    file = tmp_path / "demo.rec"
    file.write_bytes(demo_recording(120))
    with walking(SEED, tmp_path, "replay", str(file)) as walk:
        for _ in range(2):
            walk.steps(60, 0.02)
            walk.check()


def test_several_hosts_stand_while_they_are_cut(tmp_path: Path) -> None:
    with walking(SEED, tmp_path, code=HOSTS) as walk:
        for _ in range(2):
            walk.steps(60, 0.02)
            walk.check()
