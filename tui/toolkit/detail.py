"""Blocks of details: headings, pairs, graphs, histograms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from probes import units
from probes.analysis.anomaly import CALM
from probes.analysis.history import Figure
from probes.model import Hook, HookId, Kind
from probes.units import Unit
from tui.session.view import View
from tui.table.fields import TableRow, label, rate_of
from tui.table.lines import BLANK, Line, fit, line, width_of, wrap
from tui.toolkit.graphs import Subject, began, graph_lines
from tui.toolkit.pane import Pane
from tui.widgets.heat_map import heat_map
from tui.widgets.histogram import histogram

_FARTHEST = 1e6
"""Times the usual that are as far from it as can be."""


def heading(text: str) -> list[Line]:
    return [BLANK, line((text, "accent"))]


def ruled(text: str, width: int, *, ascii: bool = False) -> Line:
    """Return a heading that is a line of so many cells: "─ Programs ──────"."""
    rule = "-" if ascii else "─"
    text = text if width_of(text) <= width - 4 else fit(text, max(width - 4, 1))
    left = max(width - 4 - width_of(text), 0)
    return line((f" {rule} ", "muted"), (text, "accent"), (f" {rule * left}", "muted"))


def counters(hook: Hook, record: TableRow, bits: bool) -> list[Line]:
    """List every counter with its total and rate, and every level, one a line."""
    lines = [line((f"  {'':22}{'total':>10}{'per second':>14}", "header"))]
    for c in hook.columns:
        if c.hidden or c.kind is Kind.KEY or c.unit in (Unit.TEXT, Unit.NUMBER):
            continue
        value = record.values.get(c.name)
        if c.kind is Kind.COUNTER:
            rate = record.values.get(rate_of(c.name))
            total = units.show(value, c.unit)
            each = units.show(rate, c.unit, bits=bits)
            role = "muted" if not value else ""
            lines.append(
                line((f"  {c.title:22}", "muted"), (f"{total:>10}", role), (f"{each:>14}", role))
            )
        else:
            text = fit(units.show(value, c.unit), 10, right=True)
            lines.append(line((f"  {c.title:22}", "muted"), text))
    return lines


def graphs(pane: Pane, view: View, record: TableRow, width: int, height: int = 5) -> list[Line]:
    """Draw the history of each of the pane's figures for this record."""
    lines: list[Line] = []
    for figure in telling_first(pane, view, record):
        lines += [BLANK, *figure_lines(figure, pane, view, record, width, height + 1)]
    return lines


def telling_first(pane: Pane, view: View, record: TableRow) -> list[Figure]:
    """Return the pane's figures, those first that are unusual: since when, and by how much."""
    key, before = pane.figure_key(record), {f.name: at for at, f in enumerate(pane.figures)}

    def place(figure: Figure) -> tuple[float, ...]:
        verdict = view.verdict(figure, key) if figure.rule is not None else CALM
        if not verdict.since:
            return math.inf, 0, 0, before[figure.name]
        much = verdict.now if figure.unit is Unit.PACKETS else 0  # others have other units
        return verdict.since, -min(verdict.times, _FARTHEST), -much, before[figure.name]

    return sorted(pane.figures, key=place)


def figure_lines(
    figure: Figure, pane: Pane, view: View, record: TableRow, width: int, height: int
) -> list[Line]:
    """Draw a figure of a record in so many lines: its title, then the graph."""
    key = pane.figure_key(record)
    since = [began(view, f, key) for f in (figure, *pane.figures) if f.rule is not None]
    if pane.figure_of is not None:
        figure, key = pane.figure_of(figure, record)
    subject = Subject(figure, key, record.name, record.mark, next(filter(None, since), None))
    drawn = graph_lines(view, subject, width - 1, height)
    return [Line(((" ", ""), *text.spans)) for text in drawn]


def spread(
    title: str, hook: str, record: TableRow, column: str, width: int,
    unit: Callable[[float], str], view: View,
) -> list[Line]:  # fmt: skip
    """Draw a histogram column of the record: over the last minutes, and since it was attached."""
    buckets, row = record.values.get(column), record.row
    if not isinstance(buckets, tuple) or row is None:
        return []
    slots = view.history.heat.of(HookId(hook), column, row.key, view.time)
    lines = [*heading(f"{title}, over time"), *heat_map(slots, width, unit, ascii=view.ascii)]
    body = histogram(buckets, width, unit, ascii=view.ascii)
    return [*lines, *heading(f"{title}, since attach"), *body]


def pairs(items: Sequence[tuple[str, object]], width: int = 0) -> list[Line]:
    """List names and values; wrapped if a width is given."""
    lines = []
    for name, text in items:
        rows = list(wrap(label(text), max(width - 18, 20))) if width else [label(text)]
        for i, row in enumerate(rows):
            lines.append(line((f"  {'' if i else name:14}", "muted"), row))
    return lines
