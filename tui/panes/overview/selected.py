"""The selected row, drawn large: its history, and beside it what belongs to the case."""

from __future__ import annotations

from tui.panes.overview import case_rows
from tui.panes.overview.explained import belonging
from tui.panes.overview.overview_row import OverviewRow
from tui.session.view import View
from tui.table.fields import label
from tui.table.lines import Line, beside, fit, line, width_of
from tui.toolkit.graphs import Subject, graph_lines

_MIN_WIDTH_ABREAST = 110
"""Cells from which on there is room for two blocks."""
_BESIDE = 0.45
"""The share of the second one."""


def drawn(view: View, row: OverviewRow, width: int, height: int) -> list[Line]:
    """Draw the row in so many lines; beside it, on a wide screen, what belongs to its case."""
    finding = next((f for f in case_rows.listed(view) if f.id == row.record.key), None)
    if finding is not None and row.figure is None:  # nothing to draw: say more instead
        title = _rule(label(row.record.text("what")), width, ascii=view.ascii)
        return [title, *belonging(view, finding, width)][:height]
    if finding is None or width < _MIN_WIDTH_ABREAST:
        return _history(view, row, width, height)
    right = int(width * _BESIDE)
    left = width - right
    said = [_rule("belongs to it", right, ascii=view.ascii), *belonging(view, finding, right)]
    return beside(_history(view, row, left, height), said[:height], left)


def _history(view: View, row: OverviewRow, width: int, height: int) -> list[Line]:
    record, figure = row.record, row.figure
    if figure is None:
        title = _rule(label(record.text("what")), width - 1, ascii=view.ascii)
        return [Line(((" ", ""), *title.spans))]
    since = record.values["since"] if record.mark else None
    begun = since if isinstance(since, float) else None
    now = record.values["now"]
    known = float(now) if isinstance(now, int | float) else None
    subject = Subject(figure, row.key, record.text("what"), record.mark, begun, known)
    lines = graph_lines(view, subject, width - 2, height)
    return [Line(((" ", ""), *text.spans)) for text in lines]


def _rule(title: str, width: int, *, ascii: bool) -> Line:
    """Return a heading in a line that is drawn to the right end."""
    rule = "-" if ascii else "─"
    name = fit(title, min(width_of(title), max(width - 5, 1)))
    left = max(width - 4 - width_of(name), 0)
    return line((f"{rule} ", "muted"), (name, "header"), (f" {rule * left}", "muted"))
