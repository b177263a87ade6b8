"""The graph of a destination: what is begun a second, and how much of that fails."""

from __future__ import annotations

from collections.abc import Sequence

from probes import units
from probes.units import Unit
from tui.panes.connects.figures import BEGUN, FAILED, PORTS_FAILED
from tui.session.view import View, clock
from tui.table.fields import TableRow, label
from tui.table.lines import Line, Span, fit, line, width_of
from tui.toolkit.graphs import began
from tui.widgets.graph import Graph, graph, room_of
from tui.widgets.time_axis import BeganAt

_ROLES = {"bad": "graph3", "warn": "graph2"}


def attempts_graph(view: View, record: TableRow, width: int, height: int) -> list[Line]:
    """Draw the attempts to a record's destination, those that fail shaded."""
    v, number = record.values, room_of(width - 2)
    several = v["rport"] is None
    key = (v["comm"], v["raddr"]) if several else (v["raddr"], v["rport"])
    figure = PORTS_FAILED if several else FAILED
    failed = view.curve(figure, key, view.span, number)
    begun = failed if several else view.curve(BEGUN, key, view.span, number)
    well = [
        None if tries is None else max(tries - (lost or 0), 0.0)
        for tries, lost in zip(begun.columns, failed.columns, strict=True)
    ]
    since = began(view, figure, key)
    onset = None
    if since:
        onset = BeganAt(max(view.wall - since, 0.0), clock(since), record.mark or "warn")
    role = _ROLES.get(record.mark, "graph2")
    shown = Graph(begun.columns, begun.seconds, Unit.COUNT, role=role, onset=onset, lower=well)
    title = _title(view, record, role, width)
    drawn = graph(shown, width - 2, height - 1, ascii=view.ascii)
    return [title, *(Line(((" ", ""), *one.spans)) for one in drawn)]


def _title(view: View, record: TableRow, role: str, width: int) -> Line:
    rule, shade = ("-", "x") if view.ascii else ("─", "▒")
    said = f"now {_per_s(record, 'connects_per_s')}, failed {_per_s(record, 'failed_per_s')}"
    after: Sequence[Span] = (
        (f" {rule * 2} ", "muted"), ("connects/s, ", ""), (f"{said} ", record.mark),
        (f"{rule * 2} ", "muted"), (shade, role), (" failed ", "muted"),
    )  # fmt: skip
    room = max(width - 5 - sum(len(text) for text, _ in after), 8)
    name = label(record.text("to"))
    name = fit(name, room).rstrip() if width_of(name) > room else name
    left = max(room - width_of(name), 0)
    return line((f" {rule} ", "muted"), (name, "accent"), *after, (rule * left, "muted"))


def _per_s(record: TableRow, name: str) -> str:
    value = record.values.get(name)
    return units.count(value if isinstance(value, int | float) else None)
