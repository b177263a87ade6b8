"""A row's history as a graph with its title: what is counted, how much it is now, and usually."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from probes import units
from probes.analysis.anomaly import Threshold, unusual
from probes.analysis.history import Figure
from probes.analysis.time_columns import Curve
from probes.units import Unit
from tui.session.view import View, clock
from tui.table.fields import label
from tui.table.lines import Line, Span, fit, line, width_of
from tui.widgets.graph import Graph, graph, room_of
from tui.widgets.time_axis import BeganAt

_ROLES = {"bad": "graph3", "warn": "graph2"}
_LEAST_NAME = 12
"""Cells of a name that are worth more than the usual value."""


class Subject(NamedTuple):
    """The row and the figure that a graph is about. name, mark: the row's.

    since: Unix seconds in which its case began, None: as its own number tells. now: the row's
    number, where there is no history yet.
    """

    figure: Figure
    key: Hashable
    name: str
    mark: str = ""
    since: float | None = None
    now: float | None = None


class Title(NamedTuple):
    """A title's words. name, mark: the row's. counted: what is drawn, "drops/s"."""

    name: str
    counted: str
    unit: Unit
    mark: str = ""


def graph_lines(view: View, subject: Subject, width: int, height: int) -> list[Line]:
    """Draw a title and below it the graph, in so many cells and lines."""
    figure, since = subject.figure, _since(view, subject)
    curve = view.curve(figure, subject.key, view.span, room_of(width))
    curve = curve if curve.now is not None else curve._replace(now=subject.now)
    usual = _usual(view, subject, since)
    text = Title(subject.name, figure.title, figure.unit, subject.mark)
    return titled_graph(view, text, curve, usual, figure.rule, since, width, height)


def titled_graph(
    view: View, title: Title, curve: Curve, usual: float | None, rule: Threshold | None,
    since: float | None, width: int, height: int,
) -> list[Line]:  # fmt: skip
    """Draw the same of a curve that is made already. since: Unix seconds in which it began."""
    bad = [_is_bad(value, usual, rule) for value in curve.columns]
    onset = None
    if since is not None:
        onset = BeganAt(max(view.wall - since, 0.0), clock(since), title.mark or "warn")
    role = _ROLES.get(title.mark, "graph2")
    shown = Graph(
        curve.columns, curve.seconds, title.unit, usual, bad, role, onset, view.bits
    )  # fmt: skip
    head = _title(view, title, curve.now, usual, _is_bad(curve.now, usual, rule), width)
    return [head, *graph(shown, width, height - 1, ascii=view.ascii)]


def _is_bad(value: float | None, usual: float | None, rule: Threshold | None) -> bool:
    return value is not None and rule is not None and unusual(value, usual, rule)


def _since(view: View, subject: Subject) -> float | None:
    """Return when its case began, in Unix seconds."""
    return subject.since or began(view, subject.figure, subject.key)


def began(view: View, figure: Figure, key: Hashable) -> float | None:
    """Return when a number began to be unusual; None: it is not, or was so from the start."""
    verdict = view.verdict(figure, key)
    return verdict.since if verdict.usual is not None else None


def _usual(view: View, subject: Subject, since: float | None) -> float | None:
    """Return the usual value; of what is not judged, that from before the case began."""
    figure, key = subject.figure, subject.key
    if figure.rule is not None or since is None:
        return view.usual(figure, key)
    return view.usual_before(figure, key, since)


def _title(
    view: View, title: Title, now: float | None, usual: float | None, is_bad: bool, width: int
) -> Line:
    """Return "─ eth1 ── drops/s, now 7.8k ── usual 0 ──"; without the usual if space is short."""
    unit, rule = title.unit, "-" if view.ascii else "─"
    said = units.show(usual, unit, bits=view.bits) if usual is not None else "unknown"
    after: list[Span] = [
        (f" {rule * 2} ", "muted"),
        (f"{title.counted}, ", ""),
        (f"now {units.show(now, unit, bits=view.bits)} ", (title.mark or "warn") * is_bad),
        (f"{rule * 2} usual {said} ", "muted"),
    ]
    name, least = label(title.name), min(width_of(label(title.name)), _LEAST_NAME)
    room = width - 2 - sum(len(text) for text, _ in after)
    if room < least:
        room += len(after.pop()[0])
    name = fit(name, max(room, 1)).rstrip() if width_of(name) > room else name
    left = max(room - width_of(name), 0)
    return line((f"{rule} ", "muted"), (name, "accent"), *after, (rule * left, "muted"))
