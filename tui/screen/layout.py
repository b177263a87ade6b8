"""Layout: how the screen's lines are shared out, and the graphs below the table."""

from __future__ import annotations

from typing import NamedTuple

from tui.session.view import View
from tui.table.fields import TableRow
from tui.table.lines import Line, beside
from tui.toolkit.detail import figure_lines, telling_first
from tui.toolkit.pane import Pane

_FIXED_LINES = 4  # status, tabs, trouble, keys
_MIN_GRAPH_LINES = 5
_MIN_DRAWN_LINES = 6
_MOST_TABLE_LINES = 24
_MIN_WIDTH_ABREAST = 110


class Heights(NamedTuple):
    """Lines for the graphs and for the text below them; the table takes the rest."""

    graph: int
    below: int


def heights(pane: Pane, height: int, zoomed: bool) -> Heights:
    """Share out the lines: a table keeps at least ten before anything else gets one."""
    free = height - _FIXED_LINES - 10
    if pane.draw is not None:
        return _drawn_heights(free) if free > 0 and not zoomed else Heights(0, 0)
    if zoomed or free < _MIN_GRAPH_LINES:
        return Heights(0, 0)
    below = min(free // 3, 12) if pane.below and free >= 16 else 0
    if not pane.figures:
        return Heights(0, below)
    if pane.few:
        return Heights(max(free - below - 2, _MIN_GRAPH_LINES), below)
    return Heights(min(max(free // 4, _MIN_GRAPH_LINES), 10), below)


def _drawn_heights(free: int) -> Heights:
    """Share out what is left: a line for the timeline, then a graph, events, and more rows."""
    below = 1 + min(free // 4, 8)
    graph = min(free - below, _MIN_DRAWN_LINES + max(free - 9, 0) // 3)
    graph = max(graph, free + 10 - below - _MOST_TABLE_LINES)
    return Heights(graph if graph >= _MIN_GRAPH_LINES else 0, below)


def graph_block(pane: Pane, view: View, record: TableRow, width: int, height: int) -> list[Line]:
    """Draw as many of the pane's figures as fit, two abreast on a wide screen."""
    abreast = 2 if width >= _MIN_WIDTH_ABREAST and len(pane.figures) > 1 else 1
    rows = max(min(height // _MIN_GRAPH_LINES, -(-len(pane.figures) // abreast)), 1)
    figures = telling_first(pane, view, record)[: rows * abreast]
    each, lines = height // rows, list[Line]()
    for at in range(0, len(figures), abreast):
        blocks = [
            figure_lines(f, pane, view, record, width // abreast - 2, each)
            for f in figures[at : at + abreast]
        ]
        row = blocks[0] if len(blocks) == 1 else beside(blocks[0], blocks[1], width // 2)
        lines += row
    return lines
