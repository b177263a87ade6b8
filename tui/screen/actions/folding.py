"""The key that shows what a pane folds because it is small or ordinary."""

from __future__ import annotations

from tui.screen.context import Actions
from tui.screen.key import NUMBERS, Key


class FoldingActions(Actions):
    """Key for what is folded."""

    order = 76
    keys = (
        Key(
            "unfold", "X,shift+x", "X", "unfold", "Everything",
            "also show what is small or ordinary; connects: a row for each process", "View", 5,
            modes=NUMBERS,
        ),
    )  # fmt: skip

    def offers(self, _action: str, /) -> bool:
        return self.screen.place.mode in self.screen.place.pane.folds

    def why_not(self, _action: str, /) -> str:
        return "nothing is folded here"

    def unfold(self) -> None:
        """Show what is left out, or leave it out again."""
        session = self.screen.session
        session.unfold(not session.live.unfolded)
        self.screen.repaint()
