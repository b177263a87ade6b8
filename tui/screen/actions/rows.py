"""Which rows are shown, in what order, in what units."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tui.screen.context import Actions, Context
from tui.screen.key import NUMBERS, PANE, Key
from tui.screen.menu import Choice, Menu
from tui.table.filters import complete, reading
from tui.widgets.prompt import Question

_MAX_PAST_FILTERS = 50
"""Filters that Up brings back, at most."""


class RowActions(Actions):
    """Keys for filters, sorting and units."""

    order = 70
    keys = (
        Key(
            "filter", "slash,f4", "/ F4", "filter", "Filter",
            "filter: words, !word, column:word, column>5ms; in the help: search", "View", 2,
            modes=frozenset({"pane", "help"}),
        ),
        Key(
            "sort.menu", "s,f6", "s F6", "sort_menu", "Sort", "choose the column to sort by",
            "View", 3, modes=PANE,
        ),
        Key(
            "sort.left", "less_than_sign", "<", "sort", "", "sort by the column to the left",
            "View", modes=PANE, given=-1,
        ),
        Key(
            "sort.right", "greater_than_sign", ">", "sort", "", "sort by the column to the right",
            "View", modes=PANE, given=1,
        ),
        Key(
            "sort.reverse", "I,shift+i", "I", "reverse", "", "reverse the order", "View",
            modes=PANE,
        ),
        Key("units", "u", "u", "units", "Units", "show bytes or bits", "View", modes=NUMBERS),
    )  # fmt: skip

    def __init__(self, screen: Context) -> None:
        super().__init__(screen)
        self._past: list[str] = []

    def filter(self) -> None:
        """Ask for a filter of the rows, or for what to search the help for."""
        place = self.screen.place
        if place.mode == "help":
            self.screen.help.ask()
            return
        fields = self.screen.fields[place.pane.name]
        self.screen.prompt.ask(
            Question(
                "Filter:",
                self._filtered,
                typed=self.screen.navigation.set_filter,
                answer=place.filter,
                past=tuple(self._past),
                note=lambda text: reading(text, fields, self.screen.navigation.altnames),
                complete=lambda text: complete(text, fields),
            )
        )

    def _filtered(self, text: str | None) -> None:
        if text:
            self._past = [*(t for t in self._past if t != text), text][-_MAX_PAST_FILTERS:]
        self.screen.navigation.set_filter(text or "")

    def sort_menu(self) -> None:
        """Choose the column to sort by."""
        fields, table = self.screen.fields[self.screen.place.pane.name], self.screen.table
        at = next(i for i, f in enumerate(fields) if f.name == table.sort)
        choices = [Choice(f.title, partial(table.sort_by, f.name), f.help) for f in fields]
        self.screen.menu.open(Menu("Sort by", choices, at))

    def sort(self, step: int) -> None:
        self.screen.table.sort_next(step)

    def reverse(self) -> None:
        self.screen.table.sort_by(self.screen.table.sort)

    def units(self) -> None:
        """Show bits instead of bytes, or bytes again."""
        bits = not self.screen.session.live.bits
        self.screen.session.use_bits(bits)
        self.screen.hint(f"{'bits' if bits else 'bytes'} from now on, where sizes are shown")
        self.screen.repaint()

    def commands(self) -> Iterator[Choice]:
        if self.screen.place.mode != "pane":
            return
        for field in self.screen.fields[self.screen.place.pane.name]:
            sort = partial(self.screen.table.sort_by, field.name)
            yield Choice(f"Sort by {field.title}", sort, field.help, section="columns")
        shown = self.screen.keymap.shown("sort.menu")
        title = "Choose the column to sort by"
        yield Choice(title, self.sort_menu, "", shown, section="menus")
