"""Moving through rows and lines, opening a row, and zooming."""

from __future__ import annotations

from collections.abc import Callable

from tui.screen.context import NO_ROW, Actions
from tui.screen.key import NUMBERS, PANE, TABLES, Key
from tui.screen.layout import heights
from tui.session.view import SPANS
from tui.widgets.live_table import LiveTable

_FAR = 10**6


class ViewActions(Actions):
    """Keys for looking at rows."""

    order = 60
    keys = (
        Key(
            "zoom", "z", "z", "zoom", "Zoom", "show the table only, or all", "Panes", modes=PANE
        ),
        Key(
            "span", "x", "x", "span", "", "show 2, 5 or 15 minutes in graphs", "View", modes=NUMBERS
        ),
        Key("up", "up,k", "Up k", "move", "", "up", "Moving", given=-1),
        Key("down", "down,j", "Down j", "move", "", "down", "Moving", given=1),
        Key("page.up", "pageup", "PgUp", "page", "", "a page up", "Moving", given=-1),
        Key("page.down", "pagedown", "PgDn", "page", "", "a page down", "Moving", given=1),
        Key(
            "top", "home,g,F,shift+f", "Home g F", "top", "", "go to the top, or to what is wrong",
            "Moving",
        ),
        Key("bottom", "end,G,shift+g", "End G", "bottom", "", "go to the bottom", "Moving"),
        Key(
            "open", "enter", "Enter", "open", "Detail", "open the selected row's detail", "View", 1,
            modes=TABLES,
        ),
    )  # fmt: skip

    def zoom(self) -> None:
        """Show show the table alone, or everything."""
        self.screen.place.zoom(not self.screen.place.zoomed)
        self.screen.lay_out()

    def span(self) -> None:
        """Show more minutes in graphs, or the fewest again."""
        session, place = self.screen.session, self.screen.place
        lines = heights(place.pane, self.screen.size.height, place.zoomed)
        if place.mode == "pane" and not lines.graph:
            self.screen.hint("no graph fits here; a row's detail has its graphs")
            return
        if place.mode == "pane" and self.screen.record is None:
            self.screen.hint(f"{NO_ROW}, so no graph")
            return
        longer = [seconds for seconds in SPANS if seconds > session.live.span]
        session.use_span(longer[0] if longer else SPANS[0])
        self.screen.repaint()

    def move(self, rows: int) -> None:
        self._moved(lambda: self.screen.mover.move(rows))

    def page(self, pages: int) -> None:
        self._moved(lambda: self.screen.mover.page(pages))

    def top(self) -> None:
        mover = self.screen.mover
        self._moved(mover.follow if isinstance(mover, LiveTable) else lambda: mover.move(-_FAR))

    def bottom(self) -> None:
        self._moved(lambda: self.screen.mover.move(_FAR))

    def _moved(self, move: Callable[[], None]) -> None:
        """Move, and show it at once: Textual would draw it later."""
        with self.screen.drawing():
            move()
            if self.screen.place.mode == "pane":
                self.screen.row_selected()

    def open(self) -> None:
        """Open the selected record, go where it leads, or take the choice."""
        place, navigation = self.screen.place, self.screen.navigation
        if place.mode == "menu":
            self.screen.menu.take()
            return
        record = self.screen.table.record
        if record is None:
            self.screen.hint(NO_ROW)
        elif place.pane.leads is not None:
            navigation.follow_lead(place.pane.leads(record))
        else:
            navigation.open(record)
