"""Somebody who types anything, at any moment, at any size: a seeded walk over a screen's keys.

Nothing of it leaves. The screen has to answer afterwards, and what stands on the terminal, painted
cell by cell, has to be what is painted anew.

    python -m tests.support.walk FIRST LAST [WORD...]    seeds; ebpftop's words, else `demo`
"""

from __future__ import annotations

import codecs
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.cells import cell_len

from bench import terminal as bench
from tests.support.terminals import Terminal, terminal
from tui.screen.keymap import KEYS

SIZES = ((80, 24), (120, 40), (200, 60), (40, 10), (1, 1), (30, 7), (29, 6), (80, 2), (160, 50))
LEAVING = {"quit", "quit.anywhere", "suspend"}
SENT = {
    "question_mark": "?", "colon": ":", "slash": "/", "space": " ", "plus": "+", "minus": "-",
    "less_than_sign": "<", "greater_than_sign": ">", "left_square_bracket": "[",
    "right_square_bracket": "]", "left_parenthesis": "(", "right_parenthesis": ")",
    "left_curly_bracket": "{", "right_curly_bracket": "}", "escape": "\x1b", "enter": "\r",
    "tab": "\t", "shift+tab": "\x1b[Z", "up": "\x1b[A", "down": "\x1b[B", "home": "\x1b[H",
    "end": "\x1b[F", "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "delete": "\x1b[3~",
    "f1": "\x1bOP", "f2": "\x1bOQ", "f4": "\x1bOS", "f6": "\x1b[17~", "backspace": "\x7f",
    "left": "\x1b[D", "right": "\x1b[C",
}  # fmt: skip
"""What a terminal sends for keys, by Textual's names; others are letters."""
EDITING = ("left", "right", "home", "end", "backspace", "delete", "up", "down", "tab")
ASKING = (
    "/", ":", "J", "P", "2D", "5D", "\x1bOQ", "?/", "p", "s", "T", "w", "W", "E", "a", "d", "2t",
)  # fmt: skip
"""Keys that open a prompt or a menu, with those of the pane where they do."""
TEXTS = (
    "", "eth", "!eth", "name:x", "rx>5ms", "rx>", ">>", "a b !c :", "col:(", "漢字🦀", "e\u0301",
    "\u202e\u2067x", "[red]x[/]", "*", "%s{}", "'\"\\", "x" * 300, "12:03", "+90", "-30", "-1e9",
    "99:99", "+" + "9" * 40, "nan", "inf", "0.2", "1e-9", "-1", "lo", "nosuch0", "kprobe:vfs_read",
    "kprobe:vfs_read,by=comm,latency", "tracepoint:sched:sched_switch,by=comm", "kprobe:", "a:b:c",
    "src 192.0.2.0/24 ttl 10m", "proto icmp ttl 1s", "udp dport 53 src 192.0.2.7", "src ::/0",
    "attach", "detach", "pin", "theme", "sort", "save", "preset", "drop", "record",
)  # fmt: skip
"""Typed at prompts, whichever they are."""
STILL = 3
"""Readings without a change, 0.3 s each, after which nothing more is painted."""
ESCAPES = 6
"""So many lead back to a pane, from wherever one is."""
BUTTONS = (0, 0, 0, 1, 2, 32, 35, 64, 65)
"""Of a mouse, as a terminal reports them: pressed, moved, the wheel."""
PATIENCE = 20.0
TOAST = "▌"
"""At a toast's edge: one may come at any moment."""
GOES_ON = re.compile(
    r"^ hosts \(H.*|(?<=FROZEN|REPLAY).*|^ \d\d:\d\d:\d\d [-=#<ADF]+ .*|\s*REC \d+"
    r"|.* left (?!out).*"
)
"""How the other hosts are, how long ago, the time bar, a recording, what a drop rule has left."""


def sent_for(key: str) -> str:
    """Return what a terminal sends for a key, as Textual names it."""
    if key.startswith("ctrl+"):
        return chr(ord(key[-1]) & 0x1F)
    if key.startswith("shift+") and len(key) == 7:
        return key[-1].upper()
    return SENT.get(key, key)


STAYING = tuple(sent_for(k) for key in KEYS if key.id not in LEAVING for k in key.keys.split(","))
"""Every key that does not leave, as it is sent."""


class Painted(bench.Screen):
    """What stands on a terminal, whose size may change."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(rows, columns)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def take(self, octets: bytes) -> None:
        self.feed(self._decode(octets))

    def resize(self, columns: int, rows: int) -> None:
        cells = [[*row, *[" "] * columns][:columns] for row in self.cells]
        self.cells = [*cells, *([" "] * columns for _ in range(rows))][:rows]
        self.columns, self.rows = columns, rows
        self._move(self.row, self.column)

    def _put(self, text: str) -> None:
        for character in text:
            width = cell_len(character)
            if not width and self.column:
                self.cells[self.row][self.column - 1] += character
            super()._put(character if width else "")
            for _ in range(width - 1):
                super()._put("\0")


class Walk:
    """Steps over keys, prompts, mouse, pastes and sizes, on a child's terminal."""

    def __init__(self, seed: int, child: Terminal, size: tuple[int, int]) -> None:
        self.dice, self._child = random.Random(seed), child
        self._size, self._painted = size, Painted(*size)
        self.typed: list[str] = []

    def steps(self, number: int, pause: float) -> None:
        """Take so many, with pauses of up to so many seconds. Fails if the child ends."""
        for _ in range(number):
            self.type(self._next())
            self.read(self.dice.random() * pause)

    def check(self) -> None:
        """Fail unless it answers, and unless what stands there is what is painted anew."""
        self._resize(*self.dice.choice(((80, 24), (120, 40))))
        for _ in range(ESCAPES):
            self.type("\x1b")
            self.read(0.1)
        self.type("[")  # where time stands still
        self._until(lambda: "FROZEN" in self._text() or "REPLAY" in self._text())
        self.read(0.5)
        self._until(lambda: TOAST not in self._text())
        there = self._settled()
        self._painted.cells = [["?"] * self._painted.columns for _ in range(self._painted.rows)]
        self.type("\x0c")
        self._until(lambda: "ebpftop" in self._text())
        self.read(0.4)
        if TOAST in self._text():
            return
        differing = [(a, b) for a, b in zip(there, self._lines(), strict=True) if a != b]
        assert not differing, f"{differing} {self._so_far()}"

    def _settled(self) -> list[str]:
        """Return its lines once they stand still: what a thread reads of the past comes later."""
        lines, still = self._lines(), 0
        while still < STILL:
            self.read(0.3)
            still = still + 1 if lines == self._lines() else 0
            lines = self._lines()
        return lines

    def type(self, keys: str) -> None:
        self.typed.append(keys)
        self._child.type_all(keys.encode("utf-8", "surrogatepass"))

    def read(self, seconds: float) -> None:
        """Take what it paints for so many seconds. Fails if it ends."""
        end = time.monotonic() + seconds
        while True:
            self._child.output = b""
            self._child.take()
            self._painted.take(self._child.output)
            assert self._child.state() not in ("Z", ""), f"it ended: {self._so_far()}"
            if time.monotonic() >= end:
                return

    def _until(self, true: object) -> None:
        end = time.monotonic() + PATIENCE
        while not true():  # type: ignore[operator]
            assert time.monotonic() < end, f"no answer: {self._so_far()}\n{self._text()}"
            self.read(0.05)

    def _text(self) -> str:
        return "\n".join(self._lines(0))

    def _lines(self, first: int = 1) -> list[str]:
        """Return what stands there, but for what goes on where time stands still."""
        return [GOES_ON.sub("...", "".join(row)) for row in self._painted.cells[first:]]

    def _so_far(self) -> str:
        return f"typed last: {self.typed[-12:]}"

    def _next(self) -> str:
        match self.dice.choices("kpmtra", (55, 20, 13, 5, 4, 3))[0]:
            case "k":
                return "".join(self.dice.choices(STAYING, k=self.dice.choice((1, 1, 1, 2, 6))))
            case "p":
                return self._prompt()
            case "m":
                return self._mouse()
            case "t":
                return f"\x1b[200~{self.dice.choice(TEXTS)}\x1b[201~"
            case "r":
                self._resize(*self.dice.choice(SIZES))
        return self.dice.choice(("y", "n", "\r", "\x1b", "c", "j"))

    def _prompt(self) -> str:
        """Open something that asks, type into it, edit, and perhaps answer."""
        dice = self.dice
        edits = "".join(sent_for(k) for k in dice.choices(EDITING, k=dice.choice((0, 0, 3))))
        answer = dice.choice(("\r", "\x1b", "", "y"))
        return dice.choice(ASKING) + dice.choice(TEXTS) + edits + answer

    def _mouse(self) -> str:
        width, height = self._size
        x, y = self.dice.randint(1, width + 3), self.dice.randint(1, height + 3)
        button = self.dice.choice(BUTTONS)
        return f"\x1b[<{button};{x};{y}M\x1b[<{button};{x};{y}m"

    def _resize(self, width: int, height: int) -> None:
        self.read(0)
        self._size = width, height
        self._painted.resize(width, height)
        self._child.resize(width, height)


COMMAND = """
import os, sys
os.chdir({home!r})
sys.argv = ["ebpftop", *{words!r}]
from probes.recording import tape
from tui.screen import app
from tui import cli
app.TOAST_SECONDS = 0.5
tape.KEY_EVERY, tape.Tape.__init__.__kwdefaults__["seconds"] = {tape}
cli.leaving.run(cli.main)
"""
"""tape: frames from one that is whole to the next, and seconds that it holds."""
LONG, SHORT = (45, 900.0), (4, 3.0)


@contextmanager
def walking(
    seed: int, home: Path, *words: str, code: str = COMMAND, tape: tuple[int, float] = LONG
) -> Iterator[Walk]:
    """A walk on an ebpftop of its own, which writes below home; it leaves at the end, by a key."""
    code = code.format(home=str(home), words=words, tape=tape)
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "COLORTERM": "truecolor"}
    with terminal(code, home, **own) as child:
        walk = Walk(seed, child, (80, 24))
        walk.read(1.5)
        yield walk
        walk.type("\x03")
        assert child.leave() == 0, child.output[-2000:]
        assert not list(home.glob("ebpftop/crash*")), walk.typed[-12:]


def main() -> None:
    first, last, *words = sys.argv[1:]
    for seed in range(int(first), int(last) + 1):
        for tape in (LONG, SHORT):
            print(f"seed {seed}, tape {tape}", flush=True)
            with (
                tempfile.TemporaryDirectory() as home,
                walking(seed, Path(home), *(words or ["demo"]), tape=tape) as walk,
            ):
                for _ in range(5):
                    walk.steps(60, 0.04)
                    walk.check()


if __name__ == "__main__":
    main()
