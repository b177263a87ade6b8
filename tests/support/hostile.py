"""Recordings that somebody made to do harm: bytes at random in frames that are otherwise whole.

    python -m tests.support.hostile FIRST LAST        seeds

Run as a process of its own, in little memory: whatever goes wrong there is an exit status.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from bench.busy_host import Host as BusyHost
from probes.hooks import catalogue
from probes.recording.bookmarks import Noticing, marks
from probes.recording.codec import Malformed
from probes.recording.encoder import Encoder, Tick
from probes.recording.reader import Recording
from probes.recording.tape import Frame, Reel
from probes.recording.writer import RecordingError, RecordingFile
from probes.sources.replay import Replay
from tests.support.recordings import HOST, demo_ticks, record
from tui.output.document import document, report
from tui.panes import inner_panes, panes
from tui.screen.actions.rewind import past_view
from tui.session.history import History
from tui.session.view import View

MEMORY = 1 << 30
FRAMES = 6


def frames(ticks: list[Tick]) -> list[tuple[Frame, bytes]]:
    """Frames with what is in them before it is compressed; the third begins anew."""
    encoder, noticing, found = Encoder(catalogue()), Noticing(catalogue()), []
    for n, tick in enumerate(ticks):
        key = n % 3 == 0
        raw = encoder.encode(tick, key=key)
        found.append((Frame(noticing.moment(tick), key, len(raw), b""), raw))
    return found


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """One to four changes anywhere."""
    data = bytearray(raw)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(data) + 1)
        kind = dice.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = dice.choice((0, 1, 2, 3, 4, 10, 11, 12, 13, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            data[at:at] = b"\xff" * dice.randrange(1, 12) + b"\x01"
        elif kind == 3:
            del data[at : at + dice.randrange(1, 30)]
        elif kind == 4:
            source = dice.randrange(len(data) + 1)
            data[at:at] = data[source : source + dice.randrange(1, 300)]
        else:
            data[at:at] = dice.randbytes(dice.randrange(1, 20))
    return bytes(data)


def written(path: Path, made: list[tuple[Frame, bytes]]) -> Path:
    """A recording that is whole outside, whatever is in its frames."""
    path.unlink(missing_ok=True)
    file = RecordingFile(path, HOST, catalogue())
    for frame, raw in made:
        if frame.key:
            deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        data = deflate.compress(raw) + deflate.flush(zlib.Z_SYNC_FLUSH)
        file.write(frame._replace(size=len(raw), data=data))
    file.close()
    return path


def use(path: Path) -> int:
    """Everything that is done with a recording; how many moments could be had."""
    try:
        played = Recording(path, catalogue())
    except RecordingError:
        return 0
    good = 0
    list(marks(played.moments()))
    for n in (*range(played.end), 0, played.end // 2):
        try:
            snapshots = list(played.snapshots(n).values())
            tick, since = played.at(n), played.since(n)
        except Malformed:
            continue
        look(played, n)
        document(played.host, tick.wall, tick.interval, snapshots, tick.rules, since)
        report(played.host, snapshots, tick.rules, since)
        good += 1
    if good:  # else Replay refuses it
        asyncio.run(_play(Replay(played, pace=_at_once)))
    return good


def look(played: Reel, number: int) -> None:
    """What every pane makes of a moment: rows, their details, what is wrong, what is below."""
    figures = [f for p in panes(played.hooks) for f in (*p.figures, *p.kept)]
    view = past_view(View(played.hooks, History(figures)), played, number)
    for hook in played.hooks:
        view.history.add(hook, view.of(hook))
    for pane in (*panes(played.hooks), *inner_panes(played.hooks).values()):
        pane.trouble(view)
        fields = pane.fields(played.hooks)
        records = list(pane.records(view))
        for field in fields:
            records.sort(key=field.order)
            for one in records[:5]:
                field.cell(one, 8, False)
        for one in records[:3]:
            pane.detail(view, one, 80)
        if pane.below is not None:
            pane.below(view, 80, 10)


async def _at_once(_: float) -> None:
    await asyncio.sleep(0)


async def _play(source: Replay) -> None:
    await source.start()
    while not source.ended:
        await asyncio.sleep(0)
    await source.close()


def samples() -> Iterator[list[tuple[Frame, bytes]]]:
    yield frames(asyncio.run(demo_ticks(FRAMES, 39)))
    yield frames(list(BusyHost(12, 2).ticks(FRAMES)))


def main(first: int, last: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        sound = list(samples())
        whole = record(Path(folder) / "whole", asyncio.run(demo_ticks(FRAMES, 39))).read_bytes()
        good = 0
        for seed in range(first, last):
            dice = random.Random(seed)
            if seed % 4 == 0:  # the file itself, without its checksums being mended
                path.write_bytes(mutated(whole, dice))
            else:
                made = list(sound[seed % 2])
                n = dice.randrange(len(made))
                made[n] = made[n][0], mutated(made[n][1], dice)
                written(path, made)
            good += use(path)
    print(good, "moments of", FRAMES * (last - first), flush=True)  # what follows flushes nothing


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
    os._exit(0)
