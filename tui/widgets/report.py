"""Report: lines to scroll through, for details and help."""

from __future__ import annotations

from collections.abc import Sequence

from tui.table.lines import BLANK, Line, cut, fit_words, line, width_of
from tui.widgets.canvas import Canvas


class Report(Canvas):
    """A heading and lines below it; new lines keep the position."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._title = ""
        self._lines: Sequence[Line] = ()
        self._top = 0

    def show(self, title: str, lines: Sequence[Line], *, anew: bool = False) -> None:
        """Show other lines. anew: from the beginning."""
        self._lines = lines
        self._top = 0 if anew else min(self._top, self._last)
        self._title = title
        self.repaint()

    def text(self) -> str:
        """Return all of it, also what does not fit."""
        rows = ("".join(part for part, _ in row.spans).rstrip() for row in self._lines)
        return "\n".join((self._title, *rows, ""))

    @property
    def _room(self) -> int:
        return max(self.size.height - 1, 1)

    @property
    def _last(self) -> int:
        return max(len(self._lines) - self._room, 0)

    def move(self, lines: int) -> None:
        self._top = min(max(self._top + lines, 0), self._last)
        self.repaint()

    def page(self, pages: int) -> None:
        self.move(pages * self._room)

    def line(self, y: int, /) -> Line:
        at = self._top + y - 1
        if y == 0:
            return self._head()
        return cut(self._lines[at], self.size.width) if at < len(self._lines) else BLANK

    def _head(self) -> Line:
        there = len(self._lines)
        where = f"{min(self._top + 1, there)}-{min(self._top + self._room, there)} of {there}"
        after = f" {where}  Esc: back"
        room = max(self.size.width - len(after) - 2, 1)
        title = fit_words(self._title, room) if width_of(self._title) > room else self._title
        return line((f" {title} ", "header"), (after, "muted"))

    def on_mouse_scroll_down(self) -> None:
        self.move(3)

    def on_mouse_scroll_up(self) -> None:
        self.move(-3)
