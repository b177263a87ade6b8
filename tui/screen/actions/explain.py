"""The key that explains a case: who, what was counted, and what to do next."""

from __future__ import annotations

from tui.screen.context import Actions
from tui.screen.key import PANE, Key


class ExplainActions(Actions):
    """Key for all that is known of the selected case."""

    order = 74
    keys = (
        Key(
            "explain", "i", "i", "explain", "Explain",
            "explain the case: who, what was counted, what to do next, the kernel's parameters",
            "View", 4, modes=PANE,
        ),
    )  # fmt: skip

    def offers(self, _action: str, /) -> bool:
        record, case_of = self.screen.record, self.screen.place.pane.case
        if record is None or case_of is None:
            return False
        return case_of(self.screen.session.view, record) is not None

    def why_not(self, _action: str, /) -> str:
        return "select a case first: cases are the marked rows"

    def explain(self) -> None:
        """Open a report on the selected case."""
        if self.screen.record is not None and self.offers("explain"):
            self.screen.navigation.open(self.screen.record)
