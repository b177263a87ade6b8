"""Capabilities that are given up, as `export` does: what goes on in the background goes on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.commands import ROOT

pytestmark = pytest.mark.kernel

_SHED = """
import asyncio, json, time
from probes.model import HookId
from probes.sources.live import memory, source

memory.EVERY = source.REVIVE_SECONDS = 0.02
looks = []

async def main():
    live = source.Live(interval=0.02, wanted=[HookId("interfaces")])
    live._bound.hold = lambda: looks.append(time.monotonic())
    try:
        await live.attach_all()
        while len(looks) < 3:
            await asyncio.sleep(0.01)
        loops = set(live._background.tasks)
        for _ in range(source.THREADS):
            live._readers.submit(lambda: time.sleep(0.5))
        waiting = asyncio.ensure_future(live.read())
        await asyncio.sleep(0.2)  # by now they wait for the workers, too
        kept, shed_at = live.shed(), time.monotonic()
        rows = len((await waiting)[0].rows)
        while looks[-1] < shed_at + 0.1:
            await asyncio.sleep(0.01)
        print(json.dumps([sorted(kept), rows, len(loops), len(loops & live._background.tasks)]))
    finally:
        await live.close()

asyncio.run(asyncio.wait_for(main(), 20))
"""


def test_what_waits_for_a_thread_when_they_end_is_done_and_loops_go_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SHED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kept, rows, loops, later = json.loads(done.stdout)
    assert kept
    assert rows
    assert loops == later > 2
