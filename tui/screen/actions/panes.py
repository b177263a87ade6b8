"""Moving from pane to pane."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tui.screen.context import Actions
from tui.screen.key import Key
from tui.screen.menu import Choice


class PaneActions(Actions):
    """Keys for tabs; in a menu, for its choices."""

    order = 40
    keys = (
        Key("pane.next", "tab", "Tab", "step", "", "go to the next pane", "Panes", anywhere=True,
            given=1),
        Key(
            "pane.previous", "shift+tab", "S-Tab", "step", "", "go to the previous pane", "Panes",
            anywhere=True, given=-1,
        ),
        *(
            Key(f"pane.{n}", str(n), str(n), "show", "", f"pane {n}", "Panes", given=n)
            for n in range(1, 10)
        ),
    )  # fmt: skip

    def show(self, number: int) -> None:
        """Show a pane, or take a choice. number: from 1."""
        place = self.screen.place
        if place.mode == "menu":
            self.screen.menu.take(number)
        elif number > len(place.panes):
            self.screen.hint(f"there is no pane {number}: the last is {len(place.panes)}")
        else:
            self.screen.go_to(place.panes[number - 1])

    def step(self, step: int) -> None:
        place = self.screen.place
        if place.mode == "menu":
            self.screen.table.move(step)
            return
        self.show((place.panes.index(place.tab) + step) % len(place.panes) + 1)

    def commands(self) -> Iterator[Choice]:
        for number, pane in enumerate(self.screen.place.panes, 1):
            keys = self.screen.keymap.shown(f"pane.{number}")
            show = partial(self.show, number)
            yield Choice(f"Pane: {pane.title}", show, "", keys, section="panes")
