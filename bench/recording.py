"""What a recording costs: an hour, once a second, of 1,000 connections and 50 interfaces.

    python -m bench.recording [--seconds N] [--connections N] [--interfaces N]

Measured: the time of adding a moment, which is what recording and the screen's rewind take of each
second; the file's size; the memory that the last 15 minutes take; opening the file, and jumping to
moments at random as the screen does (the moment, its rates, the 10 s before it), each from cold.
Times are this process's CPU, so that they are the same on a busy machine: all of it is calculation.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.busy_host import Host
from probes.recording.encoder import Tick
from probes.recording.reader import Recording
from probes.recording.tape import Tape
from probes.recording.writer import RecordingFile
from probes.source import Host as HostName

JUMPS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--interfaces", type=int, default=50)
    arguments = parser.parse_args()
    host = Host(arguments.connections, arguments.interfaces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        adding = _record(host, host.ticks(arguments.seconds), path)
        _say("adding a moment", _ms(adding))
        size = path.stat().st_size
        hour = size * 3600 / arguments.seconds
        _say("file", f"{size / 1e6:.1f} MB: {hour / 1e6:.1f} MB an hour")
        opening = [_timed(lambda: Recording(path, host.hooks).close()) for _ in range(5)]
        _say("opening it", _ms(opening))
        dice, jumps = random.Random(0), []
        for _ in range(JUMPS):
            played = Recording(path, host.hooks)
            jumps.append(_timed(_jump(played, dice.randrange(played.end))))
            played.close()
        _say("a jump", _ms(jumps))
        played = Recording(path, host.hooks)
        at = played.end - 1
        _jump(played, at)()
        steps = [_timed(_jump(played, at - n)) for n in range(1, JUMPS)]
        _say("a step back", _ms(steps))
        on = [_timed(_jump(played, at - JUMPS + n)) for n in range(1, JUMPS)]
        _say("a step forth", _ms(on))
        _say("the last 15 minutes", _memory(path, host))


def _record(host: Host, ticks: Iterable[Tick], path: Path) -> list[float]:
    """The CPU time of each moment, from a sample to the file."""
    tape, spent = Tape(host.hooks, seconds=0), []
    file = RecordingFile(path, HostName("busy", "6.12"), host.hooks)
    for tick in ticks:
        begin = time.process_time()
        file.write(tape.add(tick))
        spent.append(time.process_time() - begin)
    file.close()
    return spent


def _memory(path: Path, host: Host) -> str:
    """What a tape of as much holds, with what it keeps decoded after a look back."""
    played = Recording(path, host.hooks)
    tracemalloc.start()
    tape = Tape(host.hooks)
    for n in range(max(played.end - 900, 0), played.end):
        tape.add(played.at(n))
    played.close()
    del played
    tape.snapshots(tape.end - 30)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return f"{tape.bytes / 1e6:.1f} MB compressed, {held / 1e6:.1f} MB with what a look back keeps"


def _jump(played: Recording, number: int) -> Callable[[], object]:
    return lambda: played.snapshots(number)


def _timed(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _ms(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds) * 1e3:.1f} ms, worst {max(seconds) * 1e3:.1f} ms"


def _say(what: str, figure: str) -> None:
    print(f"{what:<20} {figure}")


if __name__ == "__main__":
    main()
