"""Canvas: a widget made of lines that repaints only changed cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rich.segment import Segment
from textual.filter import LineFilter
from textual.geometry import Offset, Region
from textual.strip import Strip
from textual.widget import Widget

from tui.config.theme import Theme
from tui.table.lines import BLANK, Line, changes, pieces
from tui.terminal.driver import Brush
from tui.terminal.shown import Shown


class Canvases(Protocol):
    """What a canvas needs of its app: the roles' styles, and where to draw just now."""

    brush: Brush | None

    @property
    def look(self) -> Theme: ...

    def show_mark(self, shown: Shown) -> None: ...

    async def was_shown(self, shown: Shown, typed: float) -> bool: ...


class Canvas(Widget):
    """Asks `line(y)` for each line on the screen; `repaint()` draws the differences."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._painted: list[Line] = []
        self._width = 0
        self._theme: Theme | None = None

    def line(self, y: int, /) -> Line:
        """Return the y-th line, y < self.size.height."""
        raise NotImplementedError

    def repaint(self) -> None:
        """Compare with what is on the screen and draw the difference."""
        width, height = self.size
        if not width or not height or not self.display:
            return
        if len(self._painted) != height or self._width != width or self._theme is not self._look:
            self._repaint_all(width, height)
            return
        brush, origin = self.canvases.brush, self.region.offset
        changed: list[Region] = []
        for y, old in enumerate(self._painted):
            new = self.line(y)
            if new is old or new == old:
                continue
            self._painted[y] = new
            regions = changes(old, new, width)
            if brush is None:
                changed += [Region(x, y, cells, 1) for x, cells in regions]
            else:
                self._draw(brush, origin, y, regions)
        if changed:
            self.refresh(*changed)

    def _draw(self, brush: Brush, origin: Offset, y: int, regions: list[tuple[int, int]]) -> None:
        """Draw straight to the terminal."""
        left, top = origin
        line, style = self._painted[y], self._look.style
        for x, text, role in pieces(line, regions, self._width):
            brush.put(left + x, top + y, text, style(role, line.ground))

    def _repaint_all(self, width: int, height: int) -> None:
        self._width, self._theme = width, self._look
        self._painted = [self.line(y) for y in range(height)]
        self.refresh()

    @property
    def canvases(self) -> Canvases:
        """The app."""
        return self.app  # type: ignore[return-value]  # Monitor: tui/screen/app.py

    @property
    def _look(self) -> Theme:
        return self.canvases.look

    def on_resize(self) -> None:
        self.repaint()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return none: the theme's styles are sent to the terminal unchanged."""
        return ()

    def render_line(self, y: int) -> Strip:
        look = self._look
        spans, ground = self._painted[y] if y < len(self._painted) else BLANK
        segments = [Segment(text, look.style(role, ground)) for text, role in spans if text]
        return Strip(segments).adjust_cell_length(self.size.width, look.style("", ground))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines for the compositor; there is neither border nor padding.

        Textual keeps lines; ours may have been painted past it.
        """
        return [self.render_line(y).crop(crop.x, crop.right) for y in range(crop.y, crop.bottom)]
