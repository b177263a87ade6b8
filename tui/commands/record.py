"""`ebpftop record`: write every reading to a file, for `replay`."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from probes.model import Sample
from probes.recording.encoder import Tick
from probes.recording.tape import Tape
from probes.recording.writer import NoSpace, RecordingError, RecordingFile
from probes.source import Source
from probes.units import octets, printable
from tui.commands import _options
from tui.commands._help import WATCHED
from tui.commands._run import NOT_ATTACHED, asked, batch, make_live, say, verdict

if TYPE_CHECKING:
    from probes.sources.live.source import Live

HELP = "record all readings to a file, for `replay`"
ORDER = 50
EXAMPLES = {
    "sudo ebpftop record incident.rec --for 600": "ten minutes",
    "sudo ebpftop record incident.rec --hook drops": "one hook, until ^C",
}
STATUSES = WATCHED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=_options.named_file, help="the new recording")
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_options.seconds,
        default=None,
        help="how long (default: until ^C or SIGTERM)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an older recording")
    _options.interval_option(parser)
    _options.hook_options(parser)


def run(arguments: argparse.Namespace) -> int:
    live = make_live(arguments)
    hooks = [hook.name for hook in asked(arguments, live.catalogue)]
    try:
        file = RecordingFile(arguments.file, live.host, hooks, force=arguments.force)
    except NoSpace as full:  # not wrongly asked for: the exit status is that of a write that failed
        say([str(full)])
        return NOT_ATTACHED

    async def watch(live: Live) -> int:
        return verdict(live, arguments, await _write(live, file, arguments.seconds))

    try:
        return batch(live, watch)
    except RecordingError as ended:
        say([str(ended)])
        return NOT_ATTACHED
    finally:
        file.close()
        say([_said(file)])


def tick_of(source: Source, samples: Iterable[Sample]) -> Tick:
    """Return one reading of everything as a moment."""
    by_hook: dict[str, tuple[Sample, ...]] = {}
    for sample in samples:
        hook = sample.status.id.hook
        by_hook[hook] = (*by_hook.get(hook, ()), sample)
    wall = max((s.wall for read in by_hook.values() for s in read), default=time.time())
    return Tick(wall, source.interval, by_hook, source.statuses(), source.rules())


async def _write(live: Live, file: RecordingFile, seconds: float | None) -> tuple[Sample, ...]:
    """Write a moment at each tick, and return the last reading.

    seconds: how long; None: until cancelled. Raises RecordingError when the disk is full.
    """
    tape = Tape(live.catalogue, seconds=0)  # for its frames: nothing is looked back at here
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        samples = await live.read()
        file.write(tape.add(tick_of(live, samples)))
        pause = live.until_next()
        if end is not None and time.monotonic() + pause > end + live.interval / 100:
            return tuple(samples)
        await asyncio.sleep(pause)


def _said(file: RecordingFile) -> str:
    """Return a sentence on the finished file."""
    if not file.moments:
        return f"{printable(str(file.path))}: nothing was recorded"
    size = octets(file.size)
    return f"{printable(str(file.path))}: {file.moments} moments, {size}; ebpftop replay plays it"
