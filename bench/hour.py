"""Whether an hour of screen costs at its end what it cost after five minutes: RSS and CPU.

    python -m bench.hour [--minutes N] [--pairs N] [--memory MB]

As root, in a network namespace of its own: the screen at 160x50 under bench.load. Prints a line for
each twelfth of the time (five minutes of an hour): RSS of the program and of all that it started,
their CPU in that part, and the load's, which is the same work all the time: where it changes,
something else kept the machine busy. In the end RSS after the first part, CPU in the second (the
first compiles), both at the end, and the differences in percent. Asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import NamedTuple

from bench.load import ROWS
from bench.processes import Tree
from bench.terminal import EBPFTOP, Terminal

PARTS = 12
LOOK = 5.0
"""Seconds from one look to the next: what ends between two is not counted."""


class Stretch(NamedTuple):
    """Bytes of the program, and with what it started; CPU of these, and the load's: shares of one.

    At the end of a part of the time, and in it.
    """

    own: int
    all: int
    cpu: float
    load: float

    def __str__(self) -> str:
        return (
            f"{self.own / 1e6:7.1f} MB{self.all / 1e6:9.1f} MB{self.cpu:9.2%}"
            f"{self.load:9.2%}{self.cpu / self.load:8.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="in all (default 60)")
    parser.add_argument("--pairs", type=int, default=ROWS, help="veth pairs (default 50)")
    parser.add_argument("--memory", type=int, help="the program's --memory")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        up = 'ip link set lo up && exec "$@"'
        again = [sys.executable, "-m", "bench.hour", "--inside", *sys.argv[1:]]
        raise SystemExit(subprocess.call(["unshare", "--net", "sh", "-c", up, "-", *again]))
    print(f"{'minutes':10}{'RSS':>10}{'with all':>12}{'CPU':>9}{'the load':>9}{'ratio':>8}")
    _compare(_measured(arguments))


def _measured(arguments: argparse.Namespace) -> list[Stretch]:
    whole = arguments.minutes * 60
    limit = ["--memory", str(arguments.memory)] if arguments.memory else []
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    pace = [sys.executable, "-m", "bench.load", str(whole + 60), str(arguments.pairs)]
    load = subprocess.Popen(pace)
    try:
        time.sleep(2)
        terminal = Terminal([EBPFTOP, *limit], environment, 50, 160)
        try:
            return _parts(terminal, load.pid, whole / PARTS)
        finally:
            terminal.close()
    finally:
        load.terminate()
        load.wait()


def _parts(terminal: Terminal, load: int, seconds: float) -> list[Stretch]:
    ours, theirs, parts = Tree(terminal.pid), Tree(load), list[Stretch]()
    spent, began = (ours.look(), theirs.look()), time.monotonic()
    for number in range(1, PARTS + 1):
        _watch(terminal, ours, terminal.started + number * seconds)
        before, since = spent, began
        spent, began = (ours.look(), theirs.look()), time.monotonic()
        cpu, pace = [(now - was) / (began - since) for now, was in zip(spent, before, strict=True)]
        parts.append(Stretch(*ours.resident(), cpu, pace))
        print(f"{number * seconds / 60:<10.4g}{parts[-1]}", flush=True)
    return parts


def _watch(terminal: Terminal, tree: Tree, end: float) -> None:
    look = time.monotonic()
    while (now := time.monotonic()) < end:
        if now >= look:
            tree.look()
            look = now + LOOK
        if not terminal.read(min(look, end) - time.monotonic(), draw=False):
            raise SystemExit("the program ended")


def _compare(parts: list[Stretch]) -> None:
    early, later, last = parts[0], parts[1], parts[-1]
    for what, then, now in (
        ("RSS", early.own, last.own),
        ("RSS with all", early.all, last.all),
        ("CPU", later.cpu, last.cpu),
        ("CPU, by the load's", later.cpu / later.load, last.cpu / last.load),
    ):
        print(f"{what:20}{100 * (now / then - 1):+6.1f} %")


if __name__ == "__main__":
    main()
