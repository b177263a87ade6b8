"""Drawing past Textual's compositor: each changed cell is sent once, as soon as it is known.

Textual lays out, draws what widgets showed before, and draws them again, in several frames.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets._toast import ToastRack

from tui.table.lines import Line, changes
from tui.terminal.driver import Brush, Driver

if TYPE_CHECKING:
    from tui.terminal.app_base import TerminalApp

Front = list[Line | None]
"""Rows that are on the terminal; None: not known."""


@runtime_checkable
class Drawable(Protocol):
    """A widget made of lines, as wide as the screen."""

    def draw(self, brush: Brush, front: Front, covered: Container[int]) -> None:
        """Draw what differs from what is on the terminal, and take note of it.

        covered: rows that Textual has to draw.
        """

    def refresh_changes(self) -> None:
        """Have Textual draw what has changed."""

    def painted(self, y: int) -> Line:
        """Return the line that it last drew, or had drawn, at a row of the screen."""


class Drawing:
    """Collects the widgets to be repainted, and draws them at the end of a block.

    Textual draws the rows that a toast covers, and all if a toast comes or goes.
    """

    def __init__(self, app: TerminalApp) -> None:
        self._app = app
        self._front: Front = []
        self._size = Size(0, 0)
        self._due: dict[Drawable, None] | None = None
        self._placed = False

    @contextmanager
    def block(self) -> Iterator[None]:
        """Draw at the end what is to be repainted meanwhile; a block may be within another."""
        if self._due is not None:
            yield
            return
        self._due = {}
        try:
            yield
        finally:
            due, self._due = list(self._due), None
            self._draw(due)

    def collects(self, widget: Drawable) -> bool:
        """Have a widget drawn at the end of the block; return whether there is one."""
        if self._due is not None:
            self._due[widget] = None
        return self._due is not None

    def place(self) -> bool:
        """Give the widgets their places now; return whether that can be done.

        Otherwise Textual does it later.
        """
        screen = self._screen_below(toasts=False)
        if screen is not None and _is_layout_due(screen):
            self._lay_out(screen)
        return screen is not None

    def forget(self) -> None:
        """Take note that anything may be on the terminal."""
        self._front = []

    def took_note(self, screen: Screen[object], update: ChopsUpdate | LayoutUpdate) -> set[int]:
        """Take note of what Textual is to draw; return the rows that are there already."""
        self._fit(screen.size)
        covered = _covered_rows(screen)
        placed = [w for w in _drawables(screen) if _fits(w, screen)]
        owners = {y: w for w in placed for y in w.region.line_range}  # type: ignore[attr-defined]
        there = set()
        for y, spans in _spans(update).items():
            if not 0 <= y < len(self._front):
                continue
            before, now = self._front[y], owners[y].painted(y) if y in owners else None
            if now is None or y in covered:
                self._front[y] = None
            elif before == now:
                there.add(y)
            else:  # else the rest of it is still to come
                self._front[y] = now if _cover(spans, before, now, screen.size.width) else None
        return there

    def _screen_below(self, *, toasts: bool) -> Screen[object] | None:
        """Return the screen, unless Textual has to draw it. toasts: it may have some on it."""
        app = self._app
        if not isinstance(app._driver, Driver) or not app._dom_ready or app._batch_count:
            return None
        if len(app.screen_stack) != 1:
            return None
        if not toasts and (len(app._notifications) or _toasts(app.screen)):
            return None
        return app.screen

    def _draw(self, due: list[Drawable]) -> None:
        self.place()
        screen = self._screen_below(toasts=True)
        if screen is None or _is_layout_due(screen):
            for widget in due:
                widget.refresh_changes()
            return
        if self._placed:
            self._placed, due = False, _drawables(screen)
        self._fit(screen.size)
        brush, covered = Brush(self._app.console), _covered_rows(screen)
        for widget in due:
            if _fits(widget, screen):
                widget.draw(brush, self._front, covered)
            else:
                widget.refresh_changes()
        self._app.send(brush.text())

    def _fit(self, size: Size) -> None:
        if self._size != size or len(self._front) != size.height:
            self._size, self._front = size, [None] * size.height

    def _lay_out(self, screen: Screen[object]) -> None:
        """Do what Textual would do in its next frames, and draw none of it."""
        for widget in (screen, *screen.children):
            if widget._dirty_regions:  # it was to be drawn later: now it is not
                for y in widget.region.line_range:
                    self._front[y : y + 1] = [None] * (0 <= y < len(self._front))
            widget._layout_required = widget._repaint_required = False
            widget._dirty_regions.clear()
            widget._repaint_regions.clear()
        screen._clear_arrangement_cache()
        screen._layout_updates += 1
        with self._app.batch_update():
            screen._refresh_layout()
        screen._layout_required = screen._scroll_required = screen._repaint_required = False
        screen._dirty_widgets.clear()
        screen._compositor._dirty_regions.clear()
        self._placed = True


def _spans(update: ChopsUpdate | LayoutUpdate) -> dict[int, list[tuple[int, int]]]:
    """Return the cells of an update: of each row, the first and that after the last."""
    found: dict[int, list[tuple[int, int]]] = {}
    if isinstance(update, LayoutUpdate):
        region = update.region
        return {y: [(region.x, region.right)] for y in region.line_range}
    for y, first, end in update.spans:
        found.setdefault(y, []).append((first, end))
    return found


def _cover(spans: list[tuple[int, int]], before: Line | None, now: Line, width: int) -> bool:
    """Return whether all cells that differ between two lines are in the spans."""
    cells = [(0, width)] if before is None else changes(before, now, width)
    return all(any(x <= at and at + n <= end for x, end in spans) for at, n in cells)


def _fits(widget: Drawable, screen: Screen[object]) -> bool:
    """Return whether it has its place on the screen of this size: it may have just been resized."""
    return not isinstance(widget, Widget) or widget.size.width == screen.size.width


def _drawables(screen: Screen[object]) -> list[Drawable]:
    return [w for w in screen.children if w.display and isinstance(w, Drawable)]


def _toasts(screen: Screen[object]) -> list[Widget]:
    racks = (rack for rack in screen.children if isinstance(rack, ToastRack))
    return [toast for rack in racks for holder in rack.children for toast in holder.children]


def _covered_rows(screen: Screen[object]) -> set[int]:
    return {y for toast in _toasts(screen) for y in toast.region.line_range}


def _is_layout_due(screen: Screen[object]) -> bool:
    return screen._layout_required or any(w._layout_required for w in screen.children)
