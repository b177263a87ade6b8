"""What belongs to an interface on other panes: connections through it, who holds its programs."""

from __future__ import annotations

from collections.abc import Iterator

from probes.analysis.cases.detectors.trips import trips
from probes.analysis.droppers import program
from probes.analysis.many import places_with, rows_of
from probes.columns.lexicon import Lexicon
from tui.panes.interfaces.path_programs import sitting
from tui.session.view import View
from tui.table.fields import label
from tui.table.lines import BLANK, Line, line, wrap
from tui.toolkit import related
from tui.toolkit.detail import ruled

_LEXICON = Lexicon()


def belongs(view: View, interface: str, width: int) -> list[Line]:
    """Say what other panes know of it, and list its slowest connections."""
    lines = [BLANK, ruled("Belongs to it", width - 2, ascii=view.ascii)]
    for pane, role, text in _said(view, interface):
        rows = list(wrap(label(text), max(width - 15, 20)))
        lines += [
            line((f"   {pane if n == 0 else '':11}", "muted"), (row, role))
            for n, row in enumerate(rows)
        ]
    keep = related.of_interface(view, interface)
    return [*lines, *related.trips(view, keep, f"Through {interface}", width)]


def _said(view: View, interface: str) -> Iterator[tuple[str, str, str]]:
    """Yield the pane, the role and the sentence."""
    yield "RTT", *_connections(view, interface)
    for one in sitting(view, interface):
        held = related.held_by(one.row)
        if held and held != "nobody":
            yield "Programs", "", f"{program(one.row)} is held by {held}"
    yield "Sources", "muted", "t shows who sends to it, and D drops what they send"


def _connections(view: View, interface: str) -> tuple[str, str]:
    """Return the role and the sentence on its connections."""
    rows = rows_of(view, "tcp-rtt")
    places = places_with(rows, _LEXICON, related.of_interface(view, interface))
    marks = trips(view).marks
    slow = sum(map(bool, map(marks.__getitem__, places))) if len(marks) else 0
    if not places:
        return "muted", f"no connection through {interface} is measured"
    some = f"{len(places)} connection{'s' if len(places) > 1 else ''} through {interface}"
    if slow:
        return "warn", f"{some}, {slow} slow or sending again"
    return "", f"{some}, round trips as usual"
