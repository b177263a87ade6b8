"""Canvas: a widget made of lines that repaints only the cells that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.filter import LineFilter
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.lines import BLANK, Line, changes
from tui.theme import Theme


class Canvas(Widget):
    """Asks `line(y)` for each line on the screen; `repaint()` draws what is not as it was."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._painted: list[Line] = []
        self._width = 0
        self._theme: Theme | None = None

    def line(self, y: int, /) -> Line:
        """What stands on the y-th line, y < self.size.height."""
        raise NotImplementedError

    def repaint(self) -> None:
        """Compare with what is on the screen and draw the difference."""
        width, height = self.size
        if not width or not height or not self.display:
            return
        if len(self._painted) != height or self._width != width or self._theme is not self._look:
            self._repaint_all(width, height)
            return
        regions = []
        for y, old in enumerate(self._painted):
            new = self.line(y)
            if new != old:
                self._painted[y] = new
                regions += [Region(x, y, cells, 1) for x, cells in changes(old, new, width)]
        if regions:
            self.refresh(*regions)

    def _repaint_all(self, width: int, height: int) -> None:
        self._width, self._theme = width, self._look
        self._painted = [self.line(y) for y in range(height)]
        self.refresh()

    @property
    def _look(self) -> Theme:
        look: Theme = self.app.look  # type: ignore[attr-defined]  # App is Monitor, see app.py
        return look

    def on_resize(self) -> None:
        self.repaint()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """None: the theme's styles are what the terminal gets."""
        return ()

    def render_line(self, y: int) -> Strip:
        look = self._look
        width = self.size.width
        spans, ground = self._painted[y] if y < len(self._painted) else BLANK
        segments = [Segment(text, look.style(role, ground)) for text, role in spans if text]
        return Strip(segments).adjust_cell_length(width, look.style("", ground))
