"""A pseudo terminal that reads all a program paints, counts it, and knows what stands on it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

EBPFTOP = str(Path(sys.executable).with_name("ebpftop"))
"""The command as it is installed."""
TOKEN = re.compile(
    r"\x1b\[(?P<args>[0-9;:?<=>]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]P_^X][^\x1b\x07]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x1f\x7f]"
    r"|(?P<text>[^\x00-\x1f\x7f\x1b]+)"
)
UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:?<=>]*[ -/]*|[\]P_^X][^\x07\x1b]*\x1b?|[ -/]*)?$")


class Screen:
    """What stands where. Cursor movement, text and erasing; colours and modes pass by.

    Every character counts as one cell wide, which serves to find words, not to take pictures.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self._rest = ""

    def feed(self, text: str) -> None:
        text = self._rest + text
        cut = unfinished.start() if (unfinished := UNFINISHED.search(text)) else len(text)
        text, self._rest = text[:cut], text[cut:]
        for token in TOKEN.finditer(text):
            if token["text"]:
                self._put(token["text"])
            elif token["final"]:
                self._control(token["final"], token["args"])
            elif token[0] == "\r":
                self.column = 0
            elif token[0] == "\n":
                self.row = min(self.row + 1, self.rows - 1)

    def text(self) -> str:
        return "\n".join("".join(line) for line in self.cells)

    def painted(self) -> int:
        """How many cells are not blank."""
        return sum(cell != " " for line in self.cells for cell in line)

    def _put(self, text: str) -> None:
        for character in text:
            if self.column >= self.columns:
                self.row, self.column = min(self.row + 1, self.rows - 1), 0
            self.cells[self.row][self.column] = character
            self.column += 1

    def _control(self, final: str, args: str) -> None:
        numbers = [int(n) if n.isdigit() else 0 for n in args.split(";")]
        count = max(numbers[0], 1)
        match final:
            case "H" | "f":
                self._move(count - 1, max(numbers[1], 1) - 1 if len(numbers) > 1 else 0)
            case "A" | "B":
                self._move(self.row + (count if final == "B" else -count), self.column)
            case "C" | "D":
                self._move(self.row, self.column + (count if final == "C" else -count))
            case "G":
                self._move(self.row, count - 1)
            case "d":
                self._move(count - 1, self.column)
            case "J" if numbers[0] >= 2:
                self.cells = [[" "] * self.columns for _ in range(self.rows)]
            case "K" if numbers[0] == 0:
                self.cells[self.row][self.column :] = [" "] * (self.columns - self.column)

    def _move(self, row: int, column: int) -> None:
        self.row = min(max(row, 0), self.rows - 1)
        self.column = min(max(column, 0), self.columns - 1)


class Terminal:
    """A program on a pty of its own, started at `started` (monotonic seconds)."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], rows: int, columns: int
    ) -> None:
        self.screen = Screen(rows, columns)
        self.bytes = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.started = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvpe(command[0], list(command), dict(environment))
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds: float, *, draw: bool) -> bool:
        """Reads what comes within so many seconds, at most one piece; False when it has ended."""
        if not select.select([self._fd], [], [], max(seconds, 0))[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            return False
        self.bytes += len(data)
        if draw:
            self.screen.feed(self._decoder.decode(data))
        return bool(data)

    def type(self, keys: bytes) -> None:
        """What a user would type."""
        os.write(self._fd, keys)

    def close(self) -> None:
        """Asks it to quit as a user would, then by SIGTERM, then by SIGKILL."""
        for ask in (self._quit, self._terminate, self._kill):
            try:
                ask()
            except (OSError, ProcessLookupError):
                pass  # it is gone already
            if self._wait(5):
                break
        os.close(self._fd)

    def _quit(self) -> None:
        self.type(b"q")

    def _terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def _kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def _wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(0.05, draw=False)
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return True
        return False
