"""A recording, or another host, with very many rows that come and go, as a screen looks at it.

    python -m tests.support.crowded play|hear FOLDER

Prints the MB that it takes at most, the moments that were shown, the rows of the last one,
and how many of it were left out. Run as a process of its own: what it took at most is known
once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import tui.screen.app  # what it takes is taken on a screen, too
from probes.hooks import catalogue
from probes.model import Column, Cost, Hook, HookId, Kind, Sample, State, Status, Value
from probes.recording.codec import cells_for
from probes.recording.encoder import Tick
from probes.recording.reader import Recording
from probes.recording.tape import Tape
from probes.recording.writer import RecordingFile
from probes.source import Source
from probes.sources.live import memory
from probes.sources.memory_keeper import MemoryKeeper
from probes.sources.remote import protocol, session
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import SshCommand
from probes.sources.replay import Replay
from probes.sources.row_room import RowRoom
from probes.units import Unit
from tests.support.hostile import peak
from tests.support.recordings import HOST
from tui.panes import panes
from tui.session.session import Session

HOOK, TICKS = "tcp-rtt", 14
ROWS = 300_000 // len(catalogue()[HOOK].stored)
"""As many as one moment may have by default, however many columns there are."""


def ticks(hook: Hook) -> Iterator[Tick]:
    """Half of the rows are new each time, and all others go on."""
    status = Status(HookId(hook.name), State.ATTACHED, hook.ladder[0].name)
    for tick in range(1, TICKS + 1):
        first = ROWS // 2 * tick
        rows = [
            tuple([_value(c, n, tick - max(n - ROWS, 0) // (ROWS // 2)) for c in hook.stored])
            for n in range(first, first + ROWS)
        ]
        by_key = {tuple([row[i] for i in hook.places.keys]): row for row in rows}
        cost = Cost(tick * 1000, tick * 100_000)
        sample = Sample(status, 1000.0 + tick, 1.7e9 + tick, 1, by_key, 0, cost, (), from_zero=True)
        yield Tick(1.7e9 + tick, 1.0, {hook.name: (sample,)}, (status,), ())


def _value(column: Column, row: int, age: int) -> Value:
    if column.kind is Kind.HISTOGRAM:
        return tuple([((row * 7 + bucket) % 900 + 300) * age for bucket in range(26)])
    if column.unit is Unit.TEXT:
        return f"{column.name}{row % 977}"
    return 100_000 + row if column.kind is Kind.KEY else (row % 1000 + 300) * age * 1000


def write(path: Path, hook: Hook) -> None:
    tape, file = Tape({hook.name: hook}, seconds=0), RecordingFile(path, HOST, [hook.name])
    for tick in ticks(hook):
        file.write(tape.add(tick))
    file.close()


def say(path: Path, hook: Hook) -> None:
    """What another host says, all at once."""
    out = protocol.Outgoing(catalogue())
    said = out.hello(HOST, "1") + protocol.answer(1)
    path.write_bytes(said + b"".join(map(out.moment, ticks(hook))))


def _played(path: Path) -> Replay:
    keeper = MemoryKeeper(memory.DEFAULT, memory_in_use)
    cells = cells_for(memory.DEFAULT)
    return Replay(
        Recording(path, catalogue(), lambda _: None, cells, RowRoom(keeper.share())),
        pace=lambda _: asyncio.sleep(0), keeper=keeper,
    )  # fmt: skip


def _heard(path: Path) -> Remote:
    command = ("sh", "-c", 'cat "$0"; cat >/dev/null', str(path))
    keeper = MemoryKeeper(memory.DEFAULT, memory_in_use)
    return Remote(SshCommand("web1", command, command), keeper=keeper)


def memory_in_use() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def look(source: Source, hook: str) -> tuple[int, int, int]:
    """Follow it with all that panes keep; moments, rows of the last, and rows left out of it."""
    shown = most = left_out = 0
    done = asyncio.Event()

    def changed(_: str) -> None:
        nonlocal shown, most, left_out
        shown += 1
        samples = [s.sample for s in looking.live.snapshots.values()]
        most = sum(len(s.rows) for s in samples)
        left_out = sum(s.forgotten for s in samples)
        if shown == TICKS:
            done.set()

    figures = [f for pane in panes(catalogue()) for f in (*pane.figures, *pane.kept)]
    looking = Session(source, figures, changed, lambda *_: None, limit=memory.DEFAULT)
    following = asyncio.create_task(looking.collector.follow(hook))
    await source.start()
    async with asyncio.timeout(100):
        await done.wait()
    following.cancel()
    await source.close()
    return shown, most, left_out


def main(how: str, folder: Path) -> None:
    assert tui.screen.app
    session._SHARE = 0  # no screen has to have its turn
    path, hook = folder / "crowded", catalogue()[HOOK]
    if (child := os.fork()) == 0:  # what making it takes does not count
        (write if how == "play" else say)(path, hook)
        os._exit(0)
    os.waitpid(child, 0)
    source: Callable[[Path], Source] = _played if how == "play" else _heard
    found = asyncio.run(look(source(path), HOOK))
    print(peak(), *found, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
    os._exit(0)
