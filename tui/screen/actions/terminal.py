"""The terminal itself: redrawing it, and suspending to the shell."""

from __future__ import annotations

from tui.screen.context import Actions
from tui.screen.key import Key


class TerminalActions(Actions):
    """Keys of any program on a terminal."""

    order = 30
    keys = (
        Key(
            "redraw", "ctrl+l", "^L", "redraw", "", "redraw the screen", "General", modes=None
        ),
        Key(
            "suspend", "ctrl+z", "^Z", "suspend", "", "suspend; `fg` resumes", "General",
            modes=None,
        ),
    )  # fmt: skip

    def redraw(self) -> None:
        self.screen.redraw()

    def suspend(self) -> None:
        self.screen.to_shell()
