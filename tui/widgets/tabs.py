"""The panes' names with their keys; a "!" or "~" marks one with trouble.

A name has the same cells whichever tab is chosen or marked: long names if there is space for all
of them, short ones if not, and on narrow screens the beginnings of these, next to their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.events import Click
from textual.message import Message

from tui.table.fields import SIGNS
from tui.table.lines import Line, Span, line, width_of
from tui.widgets.canvas import Canvas

_NOTE, _BRIEF_NOTE = 9, 3
"""Cells that are left for the note before long titles are used, and where titles are cut."""


class Tab(NamedTuple):
    """A pane's tab. mark: "warn" or "bad" if something is wrong in it. short: a shorter title."""

    title: str
    chosen: bool
    mark: str
    short: str = ""


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
        titles, gap, number = self._titles()
        spans: list[Span] = []
        before = False
        for place, (tab, title) in enumerate(zip(self._tabs, titles, strict=True), 1):
            role = "accent" if tab.chosen else "muted"
            edge = f"]{gap}" if before else f" {gap}"
            edge = edge[:-1] + "[" if tab.chosen else edge
            spans.append((edge, "accent" if edge.strip() else "muted"))
            spans += [(f"{place}{number}{title}".rstrip(), role), (SIGNS[tab.mark], tab.mark)]
            before = tab.chosen
        spans.append(("]" if before else " ", "accent"))
        note, role = self._note
        space = self.size.width - sum(width_of(t) for t, _ in spans)
        note = note if width_of(note) <= space else note.rpartition("/")[2]
        if width_of(note) <= space:
            spans += [(" " * (space - width_of(note)), ""), (note, role)]
        return line(*spans)

    def _titles(self) -> tuple[list[str], str, str]:
        """Return the titles that fit, and what is between tabs, and before a title.

        It is the same for the same screen.
        """
        long, width = [tab.title for tab in self._tabs], self.size.width
        if _width(long, " ") + _NOTE <= width:
            return long, " ", " "
        if _width(long) + _NOTE <= width:
            return long, "", " "
        short = [tab.short or tab.title for tab in self._tabs]
        if _width(short) <= width:
            return short, " " if _width(short, " ") + _NOTE <= width else "", " "
        while any(short) and _width(short, number="") + _BRIEF_NOTE > width:
            at = max(range(len(short)), key=lambda n: (len(short[n]), n))
            short[at] = short[at][:-1]
        return short, "", ""

    def on_click(self, event: Click) -> None:
        titles, gap, number = self._titles()
        for place in range(1, len(titles) + 1):
            if event.x < _width(titles[:place], gap, number) - 1:
                self.post_message(self.Chosen(place))
                return


def _width(titles: Sequence[str], gap: str = "", number: str = " ") -> int:
    """Return the cells of tabs, each a number, a title and a mark, with the edges around them."""
    each = [f"{n}{number}{title}".rstrip() for n, title in enumerate(titles, 1)]
    cells = [len(text) + 2 + len(gap) for text in each]
    return sum(cells) + 1
