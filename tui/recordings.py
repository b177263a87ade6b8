"""Recording without a screen, and printing what a recording holds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from probes.cells import Malformed
from probes.frames import Tick
from probes.funnel import remember
from probes.hooks import catalogue
from probes.model import HookId, Sample, Source
from probes.recorded import Recording
from probes.recording import RecordingFile
from probes.snapshot import Snapshot, Trail
from probes.tape import Tape
from probes.units import octets, printable
from tui.formats import Shown, printer

if TYPE_CHECKING:
    from probes.live import Live


class MomentError(ValueError):
    """A time that is none, or that the recording has nothing of; one sentence."""


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


def print_moments(path: Path, form: str, at: str | None, count: int | None) -> None:
    """Prints each moment, or so many from one on. at: HH:MM[:SS], or +SECONDS from the beginning.

    What cannot be read is left out and said. Raises RecordingError, MomentError, BrokenPipeError.
    """
    with closing(Recording(path, catalogue())) as played:
        if played.note:
            print(f"ebpftop: {played.note}", file=sys.stderr)
        first = 0 if at is None else moment_at(played, at)
        last = played.end if count is None else min(first + count, played.end)
        show = printer(form, played.hooks.values(), several=last - first != 1)
        for shown in _shown(played, first, last):
            print(show(shown), flush=True)


def moment_at(played: Recording, text: str) -> int:
    """The moment that is meant by HH:MM[:SS] or +SECONDS. Raises MomentError."""
    begin, end = played.moment(0).wall, played.moment(played.end - 1).wall
    wall = _wall(text, begin)
    if not begin - 60 < wall < end + 60:
        clock = " to ".join(datetime.fromtimestamp(w).strftime("%H:%M:%S") for w in (begin, end))
        raise MomentError(f"the recording has nothing of {printable(text)}: it is from {clock}")
    return played.near(wall)


def _wall(text: str, begin: float) -> float:
    if text.startswith("+"):
        try:
            return begin + float(text[1:])
        except ValueError:
            pass
    first = datetime.fromtimestamp(begin)
    for form in ("%H:%M:%S", "%H:%M"):
        try:
            clock = datetime.strptime(text, form).time()
        except ValueError:
            continue
        when = datetime.combine(first.date(), clock)
        late = when.timestamp() < int(begin) - 60  # past midnight
        return (when + timedelta(days=1) if late else when).timestamp()
    raise MomentError(f"{printable(text)!r} is no time: write 12:03, 12:03:10, or +90 (seconds)")


def _shown(played: Recording, first: int, last: int) -> Iterator[Shown]:
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
