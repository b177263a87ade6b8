"""The footer of a menu, in place of the screen's keys."""

from __future__ import annotations

from tui.screen.context import Actions
from tui.table.lines import Line, line

_KEYS = (("Enter", "choose"), ("Esc", "back"), ("1-9", "choose by number"))


class MenuActions(Actions):
    """No keys of its own: in a menu, those of panes and rows have the meaning given here."""

    def footer(self) -> Line | None:
        if self.screen.place.mode != "menu":
            return None
        spans = [span for k, what in _KEYS for span in ((k, "accent"), (f" {what}  ", "muted"))]
        return line(" ", *spans)
