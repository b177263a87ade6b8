"""Histories in one line: the last two minutes, whatever graphs show."""

from __future__ import annotations

from collections.abc import Hashable

from probes.analysis.history import Figure
from tui.session.view import View
from tui.widgets.spark import Levels, levels

SECONDS, PARTS = 120.0, 120
"""How far back a line goes, and the parts that are known of it."""
BACK = "-2m"
"""The same in words, for the left end of a scale."""


def history_line(view: View, figure: Figure | None, key: Hashable) -> Levels:
    """Return the levels of a figure's row; () if it has none."""
    if figure is None:
        return ()
    return levels(view.curve(figure, key, SECONDS, PARTS).columns)
