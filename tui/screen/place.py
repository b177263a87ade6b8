"""The place: the pane that is shown, its mode, and what of it is open."""

from __future__ import annotations

from collections.abc import Mapping

from tui.table.fields import TableRow
from tui.toolkit.pane import Pane


class Place:
    """A pane in a mode: "pane", "menu", "detail" of the opened record, or "help".

    tab: the pane over which an inner one may lie. below: the record whose detail is open below
    that. came: the pane that led here. about: the subject of an inner pane. filters: by pane.
    untold: by pane, the part of the scope that its rows do not tell: all of them are shown.
    """

    def __init__(
        self, panes: tuple[Pane, ...], inner: Mapping[str, Pane], first: Pane | None = None
    ) -> None:
        self.panes, self.inner = panes, inner
        self.first = first or panes[0]
        self.pane = self.tab = self.first
        self.mode = "pane"
        self.opened: TableRow | None = None
        self.below: TableRow | None = None
        self.came: Pane | None = None
        self.about = ""
        self.zoomed = False
        self.filters: dict[str, str] = {}
        self.untold: dict[str, str] = {}

    @property
    def every(self) -> tuple[Pane, ...]:
        return (*self.panes, *self.inner.values())

    @property
    def filter(self) -> str:
        """The filter of the pane's rows, as typed."""
        return self.filters.get(self.pane.name, "")

    def named(self, name: str) -> Pane | None:
        """Return the pane with a tab that has this name."""
        return next((pane for pane in self.panes if pane.name == name), None)

    def show(self, mode: str) -> None:
        self.mode = mode

    def go(self, pane: Pane, about: str = "") -> None:
        """Show another pane, with nothing of it open."""
        self.came = self.opened = None
        self.pane, self.about = pane, about
        if not pane.inner:
            self.tab, self.below = pane, None

    def remember_opened(self) -> None:
        """Keep what is open while an inner pane lies over it."""
        self.below = None if self.pane.inner else self.opened

    def take_below(self) -> TableRow | None:
        """Return what was open below the inner pane, and forget it."""
        record, self.below = self.below, None
        return record

    def lead_from(self, pane: Pane) -> None:
        """Make Esc lead back to that pane."""
        self.came = pane

    def open(self, record: TableRow | None) -> None:
        self.opened = record

    def zoom(self, zoomed: bool) -> None:
        self.zoomed = zoomed

    def set_filter(self, text: str) -> None:
        self.filters[self.pane.name] = text

    def begin_with(self, pane: Pane) -> None:
        """Make the settings begin with this pane the next time."""
        self.first = pane
