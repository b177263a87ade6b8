"""The panes' names with their keys; a "!" where something is wrong in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.events import Click
from textual.message import Message

from tui.lines import Line, Span, line, width_of
from tui.widgets.canvas import Canvas


class Tab(NamedTuple):
    title: str
    chosen: bool
    mark: str


class Tabs(Canvas):
    """One line; at its right end what is worth knowing about the table."""

    class Chosen(Message):
        """A click on a tab. place: from 1."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tabs: Sequence[Tab] = ()
        self._note: Span = ("", "")

    def show(self, tabs: Sequence[Tab], note: Span) -> None:
        self._tabs, self._note = tabs, note
        self.repaint()

    def line(self, _y: int, /) -> Line:
        spans = [span for i, tab in enumerate(self._tabs) for span in self._tab(i + 1, tab)]
        note, role = self._note
        space = self.size.width - sum(width_of(t) for t, _ in spans) - width_of(note) - 1
        if space >= 0:
            spans += [(" " * space, ""), (note, role)]
        return line(*spans)

    def _tab(self, place: int, tab: Tab) -> list[Span]:
        left, right = ("[", "]") if tab.chosen else (" ", " ")
        role = "accent" if tab.chosen else "muted"
        mark = ("!", tab.mark) if tab.mark else (" ", "")
        return [(f"{left}{place} {tab.title}", role), mark, (right, role)]

    def on_click(self, event: Click) -> None:
        edge = 0
        for place, tab in enumerate(self._tabs, 1):
            edge += sum(width_of(t) for t, _ in self._tab(place, tab))
            if event.x < edge:
                self.post_message(self.Chosen(place))
                return
