"""What the screen costs and how fast it is there, beside btop and htop, in one run.

    python -m bench.screen [--seconds N] [--size 160x50]... [--pairs N] [--idle] [PROGRAM...]

Each program runs on the same kind of pty, at 80x24, 160x50 and 200x60, once a second, under the
same load, which changes 50 rows of every pane each second (bench.load): three short starts for the
times (their median, at the last size), then 8 s to settle, 20 s to measure, 30 presses of the
arrow keys, and each pane of ebpftop twice: what is sent for it, in bytes. A key's time is from its
byte in to the last byte out that follows within 50 ms of the one before; what a tick paints
meanwhile is in it for all alike. As root all of it happens in a network namespace of its own. CPU
is that of the program's processes, 100% being one core; what a BPF program costs is charged by the
kernel to the process that caused the event.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from bench.load import ROWS
from bench.processes import Tree
from bench.terminal import EBPFTOP, Terminal

SIZES = ((80, 24), (160, 50), (200, 60))
"""Columns and rows."""
SETTLE, MEASURE, STARTS, PATIENCE = 8.0, 20.0, 3, 10.0
"""Seconds before and while measuring; short starts; seconds that a start may take."""
PRESSES, PAUSE, SILENCE, ANSWER = 30, 0.13, 0.05, 0.5
"""Presses of a key; seconds between them, that end an answer, and that an answer may take."""
DOWN, UP = b"\x1b[B", b"\x1b[A"
PAINTED = 200
"""A screen is there when so many of its cells are not blank."""
NETNS = "EBPFTOP_BENCH_NETNS"


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. keys: typed at the first paint. marks: what the screen shows from when on.

    panes: the keys of its panes.
    """

    name: str
    command: tuple[str, ...]
    keys: bytes = b""
    marks: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    panes: bytes = b""


DATA, ALL = "data s", "all s"
PROGRAMS = (
    Program("btop", ("btop", "--utf-force")),
    Program("htop", ("htop", "--delay", "10")),
    Program(
        "ebpftop",
        (EBPFTOP,),
        b"3",  # the syscalls: which errors they return only a BPF program knows
        {DATA: re.compile(r"\bEBADF\b"), ALL: re.compile(r"hooks \d\d+ (?!.*attaching)")},
        b"12345678",
    ),
    Program("ebpftop demo", (EBPFTOP, "demo"), panes=b"12345678"),
)

Size = tuple[int, int]
"""Columns and rows."""
Start = Mapping[str, float | None]
"""Seconds from exec to "paint s" and to each mark; None where it was not seen."""
PAINT = "paint s"


@dataclass(frozen=True, slots=True)
class Cost:
    """cpu: share of one core; output: bytes per second; key: median and worst seconds from a key
    to the last byte of its answer; pane: the same of another pane, and bytes that are sent for it,
    None: it has none; peaks in bytes, processes by command."""

    cpu: float
    output: float
    key: tuple[float, float]
    pane: tuple[float, int] | None
    tree: int
    processes: tuple[tuple[str, int], ...]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n")[0])
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="all: none named")
    parser.add_argument("--seconds", type=float, default=MEASURE, help="how long to measure")
    parser.add_argument(
        "--size", type=_size, action="append", help="as 160x50; all three: none named"
    )
    parser.add_argument(
        "--pairs", type=int, default=ROWS, help="veth pairs: each takes two TC programs (50)"
    )
    parser.add_argument("--idle", action="store_true", help="nothing happens but the programs")
    asked = parser.parse_args()
    sizes = tuple(asked.size or SIZES)
    chosen = [p for p in PROGRAMS if not asked.programs or p.name in asked.programs]
    if asked.pairs < 1:
        parser.error("--pairs takes one at least")
    if not chosen:
        parser.error(f"there are {', '.join(p.name for p in PROGRAMS)}")
    if os.geteuid() == 0 and NETNS not in os.environ:
        _again_in_a_network_namespace()
    with (
        tempfile.TemporaryDirectory(prefix="ebpftop-bench-") as home,
        _load(len(chosen) * len(sizes), asked),
    ):
        results = {p.name: _measure(p, Path(home), asked.seconds, sizes) for p in chosen}
    _print(results)
    return 0


def _size(text: str) -> Size:
    """Columns and rows, as 160x50; argparse makes a sentence of the ValueError."""
    columns, rows = text.split("x")
    return int(columns), int(rows)


def _again_in_a_network_namespace() -> NoReturn:
    command = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "-")
    again = (*command, sys.executable, "-m", "bench.screen", *sys.argv[1:])
    os.execvpe(again[0], again, os.environ | {NETNS: "1"})


@contextmanager
def _load(programs: int, asked: argparse.Namespace) -> Iterator[None]:
    longest = programs * ((STARTS + 1) * (PATIENCE + 15) + SETTLE + asked.seconds + 30)
    still = ["still"] if asked.idle else []
    command = [sys.executable, "-m", "bench.load", str(longest), str(asked.pairs), *still]
    load = subprocess.Popen(command)
    try:
        time.sleep(1)
        if load.poll() is not None:
            raise SystemExit("bench: the load did not start")
        yield
    finally:
        load.terminate()
        load.wait()


def _measure(
    program: Program, home: Path, seconds: float, sizes: Sequence[Size]
) -> tuple[Start, dict[Size, Cost]]:
    print(f"bench: {program.name}", file=sys.stderr, flush=True)
    environment = _environment(program, home)
    starts = [_start(program, environment, sizes[-1]) for _ in range(STARTS)]
    medians = {mark: _median([s[mark] for s in starts]) for mark in starts[0]}
    return medians, {size: _cost(program, environment, seconds, size) for size in sizes}


def _median(times: list[float | None]) -> float | None:
    seen = [t for t in times if t is not None]
    return statistics.median(seen) if len(seen) == len(times) else None


def _environment(program: Program, home: Path) -> dict[str, str]:
    """The same terminal for all; the peers get a home of their own, so that no taste plays in."""
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment |= {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    if program.command[0] != EBPFTOP:
        config = home / ".config/btop"
        config.mkdir(parents=True, exist_ok=True)
        (config / "btop.conf").write_text("update_ms = 1000\n")
        environment |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    return environment


def _start(program: Program, environment: dict[str, str], size: Size) -> Start:
    terminal = Terminal(program.command, environment, *reversed(size))
    seen: dict[str, float | None] = dict.fromkeys((PAINT, *program.marks))
    try:
        while time.monotonic() - terminal.started < PATIENCE and None in seen.values():
            if not terminal.read(0.5, draw=True):
                break
            passed = time.monotonic() - terminal.started
            if seen[PAINT] is None and terminal.screen.painted() >= PAINTED:
                seen[PAINT] = passed
                terminal.type(program.keys)
            text = terminal.screen.text()
            for mark, pattern in program.marks.items():
                if seen[mark] is None and pattern.search(text):
                    seen[mark] = passed
    finally:
        terminal.close()
    return seen


def _cost(program: Program, environment: dict[str, str], seconds: float, size: Size) -> Cost:
    terminal = Terminal(program.command, environment, *reversed(size))
    tree = Tree(terminal.pid)
    try:
        _watch(terminal, tree, SETTLE, every=0.05)
        cpu, output, begin = tree.look(), terminal.bytes, time.monotonic()
        _watch(terminal, tree, seconds, every=0.5)
        cpu, output = tree.look() - cpu, terminal.bytes - output
        passed = time.monotonic() - begin
        keys = [_press(terminal, UP if i % 2 else DOWN) for i in range(PRESSES)]
        pane = _panes(terminal, program.panes) if program.panes else None
    finally:
        terminal.close()
    peaks = sorted(((tree.commands[k], v) for k, v in tree.peaks.items()), key=lambda p: -p[1])
    answers = (statistics.median(keys), max(keys))
    return Cost(cpu / passed, output / passed, answers, pane, tree.peak, tuple(peaks))


def _panes(terminal: Terminal, keys: bytes) -> tuple[float, int]:
    """Median seconds and bytes of going to another pane, each for the second time."""
    found = []
    for key in keys * 2:
        before = terminal.bytes
        seconds = _press(terminal, bytes((key,)))
        found.append((seconds, terminal.bytes - before))
    seconds, sent = zip(*found[len(keys) :], strict=True)
    return statistics.median(seconds), round(statistics.median(sent))


def _press(terminal: Terminal, key: bytes) -> float:
    """Seconds from the key to the last byte of what it changes."""
    quiet = time.monotonic() + PAUSE
    while time.monotonic() < quiet:
        terminal.read(quiet - time.monotonic(), draw=False)
    before, pressed = terminal.bytes, time.monotonic()
    terminal.type(key)
    last = pressed
    while time.monotonic() < (last + SILENCE if last > pressed else pressed + ANSWER):
        terminal.read(0.01, draw=False)
        if terminal.bytes > before:
            before, last = terminal.bytes, time.monotonic()
    return last - pressed if last > pressed else ANSWER


def _watch(terminal: Terminal, tree: Tree, seconds: float, every: float) -> None:
    end = time.monotonic() + seconds
    look = time.monotonic()
    while (now := time.monotonic()) < end:
        if now >= look:
            tree.look()
            look = now + every
        if not terminal.read(min(look, end) - time.monotonic(), draw=False):
            raise SystemExit(f"bench: it ended by itself:\n{terminal.screen.text().rstrip()}")


def _print(results: dict[str, tuple[Start, dict[Size, Cost]]]) -> None:
    print(
        f"{'':14}{'size':>8}{'CPU':>8}{'out B/s':>10}{'key ms':>8}{'worst':>7}"
        f"{'pane ms':>9}{'pane B':>8}{'RSS MB':>8}"
    )
    for name, (_, costs) in results.items():
        for (columns, rows), cost in costs.items():
            key = f"{cost.key[0] * 1e3:8.0f}{cost.key[1] * 1e3:7.0f}"
            pane = (
                f"{cost.pane[0] * 1e3:9.0f}{cost.pane[1]:8}" if cost.pane else f"{'-':>9}{'-':>8}"
            )
            memory = f"{cost.processes[0][1] / 1e6:8.0f}"
            size = f"{columns}x{rows}"
            print(f"{name:14}{size:>8}{cost.cpu:8.1%}{cost.output:10.0f}{key}{pane}{memory}")
    marks = (PAINT, DATA, ALL)
    print(f"\n{'':14}{''.join(f'{mark:>9}' for mark in marks)}{'tree MB':>9}")
    for name, (start, costs) in results.items():
        tree = max(cost.tree for cost in costs.values()) / 1e6
        times = "".join(f"{_seconds(start.get(mark)):>9}" for mark in marks)
        print(f"{name:14}{times}{tree:9.0f}")
    print("paint: the first screen; data: the first numbers from a BPF program; all: every hook up")
    if "ebpftop" in results and "btop" in results:
        for size, ours in results["ebpftop"][1].items():
            theirs = results["btop"][1][size]
            print(
                f"ebpftop / btop at {size[0]}x{size[1]}: CPU {ours.cpu / theirs.cpu:.2f}, "
                f"output {ours.output / theirs.output:.2f}, key {ours.key[0] / theirs.key[0]:.2f}"
            )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
