"""Recordings for tests: of the demo, of a busy host, and damaged ones."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from probes.drop_rule import parse
from probes.hooks import catalogue
from probes.model import Sample
from probes.recording.encoder import Tick
from probes.recording.tape import Tape
from probes.recording.writer import RecordingFile
from probes.source import Host
from probes.sources.demo.source import START, Demo

HOST = Host("web1", "6.12.48-amd64", demo=True)


async def demo_ticks(seconds: int, begin: float = 0.0, *, hooks: Iterable[str] = ()) -> list[Tick]:
    """What the demo gives, a second apart, and a rule from second 40 to 60. hooks: only these."""
    catalogued = {n: h for n, h in catalogue().items() if not hooks or n in set(hooks)}
    demo = Demo(begin=begin, hooks=catalogued)
    await demo.start()
    ticks = []
    for second in range(seconds):
        now = begin + second
        demo._now = now
        if now == 40:
            await demo.add_rule("eth1", parse("src 203.0.113.66 ttl 20s"))
        samples: dict[str, tuple[Sample, ...]] = {}
        for sample in demo.at(now):
            hook = sample.status.id.hook
            samples[hook] = (*samples.get(hook, ()), sample)
        ticks.append(Tick(START + now, 1.0, samples, demo.statuses(), demo.rules()))
    return ticks


@cache
def demo_recording(seconds: int) -> bytes:
    """A recording of so much of the demo, from its beginning; made once."""
    with tempfile.TemporaryDirectory() as folder:
        return record(Path(folder) / "demo.rec", asyncio.run(demo_ticks(seconds))).read_bytes()


def record(path: Path, ticks: Iterable[Tick], *, whole: bool = True, host: Host = HOST) -> Path:
    """A recording of them. whole: ended properly, with its index."""
    tape = Tape(catalogue())
    file = RecordingFile(path, host, catalogue())
    for tick in ticks:
        file.write(tape.add(tick))
    if whole:
        file.close()
    else:
        file._let_go()
    return path


def within(kept: Any, now: Any) -> bool:
    """Whether all that was kept is there still; objects may have more."""
    if isinstance(kept, dict):
        return isinstance(now, dict) and all(
            k in now and within(v, now[k]) for k, v in kept.items()
        )
    if isinstance(kept, list):
        return len(kept) == len(now) and all(map(within, kept, now))
    return bool(kept == now)
