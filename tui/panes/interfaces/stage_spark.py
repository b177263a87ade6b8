"""When packets were lost at a stage of the packet path: a history in one line."""

from __future__ import annotations

from tui.panes.interfaces.stage_history import Columns
from tui.table.lines import Span
from tui.toolkit.history_line import BACK
from tui.widgets.spark import drawn, levels

LEAST, WIDEST = 7, 24
"""Cells that it takes."""


def stage_spark_head(width: int) -> str:
    """Return the heading of such a column, with the cell before it; "" without one."""
    return f" {BACK}{'now':>{width - len(BACK)}}" if width else ""


def stage_spark(past: Columns, width: int, mark: str, *, ascii: bool) -> tuple[Span, Span]:
    """Draw a history, with the cell before it, by its own greatest value. mark: the stage's."""
    role = mark or ("graph1" if any(past) else "muted")
    return (" ", ""), (drawn(levels(past), width, ascii=ascii), role)
