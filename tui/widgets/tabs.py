"""The panes' names with their keys; a "!" or "~" marks one with trouble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.events import Click
from textual.message import Message

from tui.table.fields import SIGNS
from tui.table.lines import Line, Span, line, width_of
from tui.widgets.canvas import Canvas

_MIN_LETTERS = 4
"""Letters of a title that are worth more than the note."""


class Tab(NamedTuple):
    """A pane's tab. mark: "warn" or "bad" if something is wrong in it."""

    title: str
    chosen: bool
    mark: str


class Tabs(Canvas):
    """One line; at its right end a note on the table."""

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
        spans = [span for tab in self._drawn() for span in tab]
        note, role = self._note
        space = self.size.width - sum(width_of(t) for t, _ in spans) - width_of(note) - 1
        if space >= 0:
            spans += [(" " * space, ""), (note, role)]
        return line(*spans)

    def _drawn(self) -> list[list[Span]]:
        """Return each tab's spans.

        If space is short, the titles of the others are cut, evenly: first to leave some for the
        note, then to be there at all.
        """
        longest = max((len(t.title) for t in self._tabs), default=0)
        beside_note = [
            (n, width_of(self._note[0]) + 1) for n in range(longest, _MIN_LETTERS - 1, -1)
        ]
        for most, taken in (*beside_note, *((n, 0) for n in range(longest, -1, -1))):
            drawn = [self._tab(i, tab, most) for i, tab in enumerate(self._tabs, 1)]
            if sum(width_of(t) for tab in drawn for t, _ in tab) + taken <= self.size.width:
                break
        return drawn

    def _tab(self, place: int, tab: Tab, most: int) -> list[Span]:
        left, right = ("[", "]") if tab.chosen else (" ", " ")
        role = "accent" if tab.chosen else "muted"
        mark = (SIGNS[tab.mark], tab.mark)
        title = tab.title if tab.chosen else tab.title[:most]
        return [(f"{left}{place} {title}".rstrip(), role), mark, (right, role)]

    def on_click(self, event: Click) -> None:
        edge = 0
        for place, tab in enumerate(self._drawn(), 1):
            edge += sum(width_of(t) for t, _ in tab)
            if event.x < edge:
                self.post_message(self.Chosen(place))
                return
