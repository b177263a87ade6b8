"""Block: given lines, for everything that neither scrolls nor is selected."""

from __future__ import annotations

from collections.abc import Sequence

from tui.table.lines import BLANK, Line
from tui.widgets.canvas import Canvas


class Block(Canvas):
    """A block of lines, of which it shows as many as there is space for."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()

    def show(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self.repaint()

    def line(self, y: int, /) -> Line:
        return self._lines[y] if y < len(self._lines) else BLANK
