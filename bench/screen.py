"""What the screen costs and how fast it is there, beside btop and htop, in one run.

    python -m bench.screen [--seconds N] [PROGRAM...]

Each program runs on the same kind of pty, 160x50, once a second, under the same load: three short
starts for the times (their median), then 5 s to settle and 20 s to measure. As root all of it
happens in a network namespace of its own. CPU is that of the program's processes, 100% being one
core; what a BPF program costs is charged by the kernel to whoever caused the event.
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from bench.processes import Tree
from bench.terminal import Terminal

ROWS, COLUMNS = 50, 160
SETTLE, MEASURE, STARTS, PATIENCE = 5.0, 20.0, 3, 10.0
"""Seconds before and while measuring; short starts; seconds that a start may take."""
PAINTED = 200
"""A screen is there when so many of its cells are not blank."""
NETNS = "EBPFTOP_BENCH_NETNS"
EBPFTOP = str(Path(sys.executable).with_name("ebpftop"))


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. keys: typed at the first paint. marks: what the screen shows from when on."""

    name: str
    command: tuple[str, ...]
    keys: bytes = b""
    marks: Mapping[str, re.Pattern[str]] = field(default_factory=dict)


DATA, ALL = "data s", "all s"
PROGRAMS = (
    Program("btop", ("btop", "--utf-force")),
    Program("htop", ("htop", "--delay", "10")),
    Program(
        "ebpftop",
        (EBPFTOP,),
        b"2",  # the syscalls: the load's own call is there once a BPF program has counted it
        {DATA: re.compile(r"\bgetppid\b"), ALL: re.compile(r"hooks \d+ (?!.*attaching)")},
    ),
    Program("ebpftop demo", (EBPFTOP, "demo")),
)

Start = Mapping[str, float | None]
"""Seconds from exec to "paint s" and to each mark; None where it was not seen."""
PAINT = "paint s"


@dataclass(frozen=True, slots=True)
class Cost:
    """cpu: share of one core; output: bytes per second; peaks in bytes, processes by command."""

    cpu: float
    output: float
    tree: int
    processes: tuple[tuple[str, int], ...]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n")[0])
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="all: none named")
    parser.add_argument("--seconds", type=float, default=MEASURE, help="how long to measure")
    asked = parser.parse_args()
    chosen = [p for p in PROGRAMS if not asked.programs or p.name in asked.programs]
    if not chosen:
        parser.error(f"there are {', '.join(p.name for p in PROGRAMS)}")
    if os.geteuid() == 0 and NETNS not in os.environ:
        _again_in_a_network_namespace()
    with tempfile.TemporaryDirectory(prefix="ebpftop-bench-") as home, _load(len(chosen), asked):
        results = {p.name: _measure(p, Path(home), asked.seconds) for p in chosen}
    _print(results)
    return 0


def _again_in_a_network_namespace() -> NoReturn:
    command = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "-")
    again = (*command, sys.executable, "-m", "bench.screen", *sys.argv[1:])
    os.execvpe(again[0], again, os.environ | {NETNS: "1"})


@contextmanager
def _load(programs: int, asked: argparse.Namespace) -> Iterator[None]:
    longest = programs * ((STARTS + 1) * (PATIENCE + 15) + SETTLE + asked.seconds)
    load = subprocess.Popen([sys.executable, "-m", "bench.load", str(longest)])
    try:
        time.sleep(1)
        if load.poll() is not None:
            raise SystemExit("bench: the load did not start")
        yield
    finally:
        load.terminate()
        load.wait()


def _measure(program: Program, home: Path, seconds: float) -> tuple[Start, Cost]:
    print(f"bench: {program.name}", file=sys.stderr, flush=True)
    environment = _environment(program, home)
    starts = [_start(program, environment) for _ in range(STARTS)]
    medians = {mark: _median([s[mark] for s in starts]) for mark in starts[0]}
    return medians, _cost(program, environment, seconds)


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


def _start(program: Program, environment: dict[str, str]) -> Start:
    terminal = Terminal(program.command, environment, ROWS, COLUMNS)
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


def _cost(program: Program, environment: dict[str, str], seconds: float) -> Cost:
    terminal = Terminal(program.command, environment, ROWS, COLUMNS)
    tree = Tree(terminal.pid)
    try:
        _watch(terminal, tree, SETTLE, every=0.05)
        cpu, output, begin = tree.look(), terminal.bytes, time.monotonic()
        _watch(terminal, tree, seconds, every=0.5)
        cpu, output = tree.look() - cpu, terminal.bytes - output
        passed = time.monotonic() - begin
    finally:
        terminal.close()
    peaks = sorted(((tree.commands[k], v) for k, v in tree.peaks.items()), key=lambda p: -p[1])
    return Cost(cpu / passed, output / passed, tree.peak, tuple(peaks))


def _watch(terminal: Terminal, tree: Tree, seconds: float, every: float) -> None:
    end = time.monotonic() + seconds
    look = time.monotonic()
    while (now := time.monotonic()) < end:
        if now >= look:
            tree.look()
            look = now + every
        if not terminal.read(min(look, end) - time.monotonic(), draw=False):
            raise SystemExit(f"bench: it ended by itself:\n{terminal.screen.text().rstrip()}")


def _print(results: dict[str, tuple[Start, Cost]]) -> None:
    marks = (PAINT, DATA, ALL)
    titles = ("CPU", "out B/s", *marks, "RSS MB", "tree MB")
    print(f"{'':14}{titles[0]:>8}{titles[1]:>10}{''.join(f'{t:>9}' for t in titles[2:])}")
    for name, (start, cost) in results.items():
        times = "".join(f"{_seconds(start.get(mark)):>9}" for mark in marks)
        memory = f"{cost.processes[0][1] / 1e6:9.0f}{cost.tree / 1e6:9.0f}"
        print(f"{name:14}{cost.cpu:8.1%}{cost.output:10.0f}{times}{memory}")
    print("paint: the first screen; data: the first numbers from a BPF program; all: every hook up")
    print("\nPeak RSS of each process, MB:")
    for name, (_, cost) in results.items():
        print(f"{name:14}{', '.join(f'{c} {peak / 1e6:.0f}' for c, peak in cost.processes)}")
    if "ebpftop" in results and "btop" in results:
        ours, theirs = results["ebpftop"][1], results["btop"][1]
        print(
            f"\nebpftop / btop: CPU {ours.cpu / theirs.cpu:.2f}, "
            f"output {ours.output / theirs.output:.2f}, memory {ours.tree / theirs.tree:.2f}"
        )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
