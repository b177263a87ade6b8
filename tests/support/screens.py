"""What stands on a terminal, from what was written to it: moves and text, without colours."""

from __future__ import annotations

import re
from collections.abc import Callable

TOKEN = re.compile(r"\x1b\[(?P<args>[0-9;?>$<]*)(?P<final>[A-Za-z])|(?P<text>[^\x1b])")


class Screen:
    """A terminal with widths of its own. width: of each character; 0: it joins the one before."""

    def __init__(self, width: Callable[[str], int] = lambda _: 1) -> None:
        self._width, self._x, self._y = width, 0, 0
        self.cells: dict[tuple[int, int], str] = {}

    def feed(self, text: str) -> None:
        for token in TOKEN.finditer(text):
            args = (token["args"] or "").split(";")
            if token["final"] == "H":
                self._y, self._x = int(args[0] or 1) - 1, int(args[-1] or 1) - 1
            elif token["final"] == "C":
                self._x += int(args[0] or 1)
            elif token["text"]:
                for step in range(self._width(token["text"])):
                    self.cells[self._x + step, self._y] = token["text"] if not step else ""
                self._x += self._width(token["text"])

    def text(self) -> str:
        rows = max((y for _, y in self.cells), default=-1) + 1
        columns = max((x for x, _ in self.cells), default=-1) + 1
        return "\n".join(self.row(y, 0, columns) for y in range(rows))

    def row(self, y: int, begin: int, end: int) -> str:
        return "".join(self.cells.get((x, y), " ") for x in range(begin, end))
