"""What a key changes is sent to the terminal once, and nothing else is."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from bench import terminal as bench
from tests.support.terminals import Terminal, terminal

STILL = """
import asyncio
from probes.sources.demo.source import Demo
from tui.screen.app import run
read = 0

async def pace(_):
    "Some hundred readings at once, and then none."
    global read
    read += 1
    await asyncio.sleep(0.001 if read < 400 else 3600)

raise SystemExit(run(Demo(begin=20, pace=pace)))
"""
PANES = "23456782"
OTHERS = (
    *("\r", "\x1b", "?", "\x1b", ":", "\x1b", "/", "eth", "\x1b", "s", "\x1b", "z", "z"),
    *("[", "[", " ", "E", "\x1b", "T", "\x1b", "j", ">"),
)
"""Details, help, menus, prompts, zoom, time: on the pane Interfaces."""


STATUS = 0
"""The row that may change meanwhile: what a pane needs is being attached."""


class Counted(bench.Screen):
    """How often each cell was written."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(rows, columns)
        self.times: Counter[tuple[int, int]] = Counter()

    def _put(self, text: str) -> None:
        for character in text:
            self.times[self.row, self.column] += 1
            super()._put(character)


def _stand_still(child: Terminal) -> None:
    """Until nothing comes any more."""
    child.read_until(b"Overview")
    quiet = time.monotonic() + 1.2
    while time.monotonic() < quiet:
        if child.take():
            quiet = time.monotonic() + 1.2


def _answer(child: Terminal, key: str, size: tuple[int, int]) -> tuple[Counter[int], int]:
    """How many cells are written how many times for a key, and bytes."""
    child.output = b""
    child.type(key.encode())
    end = time.monotonic() + 0.6  # several of Textual's frames
    while time.monotonic() < end:
        child.take()
    counted = Counted(*size)
    counted.feed(child.output.decode())
    cells = {cell: times for cell, times in counted.times.items() if cell[0] != STATUS}
    return Counter(cells.values()), len(child.output)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "most"), [((80, 24), 7_500), ((200, 60), 32_000)])
def test_a_pane_sends_each_cell_once(tmp_path: Path, size: tuple[int, int], most: int) -> None:
    """Textual alone sends it three or four times: what was there, and in several frames."""
    with terminal(STILL, tmp_path, size=size, COLORTERM="truecolor") as child:
        _stand_still(child)
        for key in PANES:
            times, sent = _answer(child, key, size)
            assert times.keys() == {1}, (key, times)
            assert sent < most, key
        child.type(b"q")
        assert child.leave() == 0


@pytest.mark.slow
def test_whatever_is_opened_and_closed_sends_each_cell_once(tmp_path: Path) -> None:
    with terminal(STILL, tmp_path, COLORTERM="truecolor") as child:
        _stand_still(child)
        _answer(child, "2", (80, 24))
        for key in OTHERS:
            times, _ = _answer(child, key, (80, 24))
            if key != "eth":  # three keys
                assert times.keys() <= {1}, (key, times)
        child.type(b"q")
        assert child.leave() == 0


@pytest.mark.parametrize("toast", [False, True])
def test_a_size_there_and_back_draws_everything_again(tmp_path: Path, toast: bool) -> None:
    """What a terminal cut while it was small is lost, although the size is the same again."""
    with terminal(STILL, tmp_path, COLORTERM="truecolor") as child:
        _stand_still(child)
        if toast:
            child.type(b"6a")
            child.read_until(b"already")
        child.output = b""
        child.resize(20, 2)
        child.resize(80, 24)
        times, _ = _answer(child, "", (80, 24))
        assert times.total() == 80 * 23
        child.type(b"q")
        assert child.leave() == 0
