"""Canvas: a widget made of lines that repaints only changed cells."""

from __future__ import annotations

from collections.abc import Container, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from rich.segment import Segment
from textual.filter import LineFilter
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.config.theme import Theme
from tui.table.lines import BLANK, Line, changes, pieces
from tui.terminal.drawing import Drawing, Front
from tui.terminal.driver import Brush
from tui.terminal.shown import Shown


class Canvases(Protocol):
    """The part of the app that a canvas needs: the roles' styles, and how to draw."""

    drawn: Drawing

    @property
    def look(self) -> Theme: ...

    def drawing(self) -> AbstractContextManager[None]: ...

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

    def painted(self, y: int) -> Line:
        """Return the line that was painted last at a row of the screen."""
        y -= self.region.y
        return self._painted[y] if 0 <= y < len(self._painted) else BLANK

    def repaint(self) -> None:
        """Draw what has changed: at the end of the block of drawing, else in Textual's frame."""
        if not self.canvases.drawn.collects(self):
            self.refresh_changes()

    def draw(self, brush: Brush, front: Front, covered: Container[int]) -> None:
        """Draw straight to the terminal what is not there already.

        covered: rows that Textual has to draw.
        """
        region, size = self.region, self.size  # Textual calculates them each time
        if not size or region.size != size or not self.display:
            return
        width, height = size
        anew, before = self._theme is not self._look, self._painted
        self._take_shape(width)
        self._painted = [self.line(y) for y in range(height)]
        for y, new in enumerate(self._painted[: max(len(front) - region.y, 0)], region.y):
            old = None if anew else front[y]
            if y in covered:
                front[y] = None
            elif new is not old and new != old:
                front[y] = new
                cells = changes(old, new, width) if old is not None else [(0, width)]
                self._draw(brush, y, new, cells)
        if covered and before != self._painted:
            self._refresh_rows(before, covered)

    def _refresh_rows(self, before: list[Line], covered: Container[int]) -> None:
        """Have Textual draw those of these rows that have changed."""
        top = self.region.y
        changed = [
            Region(0, y, self._width, 1)
            for y, new in enumerate(self._painted)
            if top + y in covered and (y >= len(before) or before[y] != new)
        ]
        if changed:
            self.refresh(*changed)

    def _draw(self, brush: Brush, y: int, new: Line, regions: list[tuple[int, int]]) -> None:
        style = self._look.style
        for x, text, role in pieces(new, regions, self._width):
            brush.put(x, y, text, style(role, new.ground))

    def refresh_changes(self) -> None:
        """Have Textual draw what has changed."""
        width, height = self.size
        if not width or not height or not self.display:
            return
        before = self._painted
        same = len(before) == height and self._width == width and self._theme is self._look
        self._take_shape(width)
        self._painted = [self.line(y) for y in range(height)]
        if not same:
            self.refresh()
            return
        changed = [
            Region(x, y, cells, 1)
            for y, (old, new) in enumerate(zip(before, self._painted, strict=True))
            if new is not old and new != old
            for x, cells in changes(old, new, width)
        ]
        if changed:
            self.refresh(*changed)

    def _take_shape(self, width: int) -> None:
        """Take note of the width and the theme, before lines are made for them."""
        self._width, self._theme = width, self._look

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
        """Return what `draw` would send."""
        style, width = self._look.style, self.size.width
        new = self._painted[y] if y < len(self._painted) else BLANK
        cells = pieces(new, [(0, width)], width)
        return Strip([Segment(text, style(role, new.ground)) for _, text, role in cells], width)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines for the compositor; there is neither border nor padding.

        Textual keeps lines; ours may have been painted past it.
        """
        return [self.render_line(y).crop(crop.x, crop.right) for y in range(crop.y, crop.bottom)]
