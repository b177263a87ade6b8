"""Recording without a screen, and printing what a recording holds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from probes import own
from probes.cells import Malformed
from probes.frames import Tick
from probes.funnel import remember
from probes.hits import Hits
from probes.known import Catalogue
from probes.model import HookId, Sample, Source
from probes.recorded import Recording
from probes.recording import RecordingFile
from probes.replay import Replay
from probes.snapshot import Snapshot, Trail
from probes.tape import Tape
from probes.units import octets, printable
from tui.formats import Shown, printer
from tui.times import meant

if TYPE_CHECKING:
    from probes.live import Live


def tick_of(source: Source, samples: Iterable[Sample]) -> Tick:
    """One reading of everything, as a moment."""
    by_hook: dict[str, tuple[Sample, ...]] = {}
    for sample in samples:
        hook = sample.status.id.hook
        by_hook[hook] = (*by_hook.get(hook, ()), sample)
    return Tick(time.time(), source.interval, by_hook, source.statuses(), source.rules())


async def record(live: Live, file: RecordingFile, seconds: float | None) -> tuple[Sample, ...]:
    """Writes a moment at each tick, for so long (None: until it is cancelled). Returns the last
    reading. Raises RecordingError when the disk is full."""
    import asyncio

    tape = Tape(live.catalogue, seconds=0)  # for its frames: nothing is looked back at here
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        samples = await live.read()
        file.write(tape.add(tick_of(live, samples)))
        pause = live.until_next()
        if end is not None and time.monotonic() + pause > end + live.interval / 100:
            return tuple(samples)
        await asyncio.sleep(pause)


def said(file: RecordingFile) -> str:
    """What there is in the end."""
    if not file.moments:
        return f"{printable(str(file.path))}: nothing was recorded"
    size = octets(file.size)
    return f"{printable(str(file.path))}: {file.moments} moments, {size}; ebpftop replay plays it"


def replay(path: Path, at: str | None, speed: float) -> Replay:
    """The source that plays it. Raises RecordingError, TimeError."""
    played = Recording(path, Catalogue(), own.recalled)
    try:
        return Replay(played, begin=0 if at is None else moment_at(played, at), speed=speed)
    except BaseException:
        played.close()
        raise


def print_moments(path: Path, form: str, at: str | None, count: int | None) -> None:
    """Prints each moment, or so many from one on. at: as `times.meant`, from the beginning.

    What cannot be read is left out and said. Raises RecordingError, TimeError, BrokenPipeError.
    """
    with closing(Recording(path, Catalogue(), own.recalled)) as played:
        if played.note:
            print(f"ebpftop: {played.note}", file=sys.stderr)
        first = 0 if at is None else moment_at(played, at)
        last = played.end if count is None else min(first + count, played.end)
        hits = Hits()
        show = printer(form, played.hooks.values(), several=last - first != 1, hits=hits)
        for shown in _shown(played, first, last, hits):
            print(show(shown), flush=True)


def moment_at(played: Recording, text: str) -> int:
    """The moment that is meant. Raises TimeError."""
    begin, end = played.moment(0).wall, played.moment(played.end - 1).wall
    return played.near(meant(text, begin, end, now=begin))


def _shown(played: Recording, first: int, last: int, hits: Hits) -> Iterator[Shown]:
    """Each moment; hits gets to know what drop rules had dropped before the first."""
    trails: dict[str, Trail] = {}
    since: dict[HookId, Sample] = {}
    snapshots: dict[HookId, Snapshot] = {}
    before: Tick | None = None
    number = first
    while number < last:
        try:
            if before is None:  # the first, or after what could not be read
                trails = {hook: trail for hook, (trail, _) in played.trails(number).items()}
                since, snapshots = dict(played.since(number)), {}
                for _, earlier in played.window(number, Hits.BACK):
                    hits.take(earlier.rules)
            tick = played.at(number)
        except Malformed as damaged:
            clock = datetime.fromtimestamp(played.moment(number).wall).strftime("%H:%M:%S")
            print(f"ebpftop: {clock} cannot be read: {damaged}", file=sys.stderr)
            number = played.key_after(number) or last
            before = None
            continue
        for hook, samples in tick.fresh(before).items():
            remember(since, samples)
            trail = trails.setdefault(hook, Trail(played.hooks[hook]))
            for id in [i for i in snapshots if i.hook == hook]:
                del snapshots[id]
            snapshots |= {s.id: s for s in trail.snapshots(samples)}
        for id in [i for i in snapshots if i.hook not in tick.samples]:
            del snapshots[id]
        yield Shown(
            played.host, tick.wall, tick.interval, list(snapshots.values()), tick.rules, since
        )
        before = tick
        number += 1
