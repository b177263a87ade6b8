"""What is lost at an interface and what comes in, over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from probes.analysis.time_columns import Curve
from probes.units import Unit
from tui.panes.interfaces.figures import (
    KERNEL,
    LINK,
    PACKETS_IN,
    RULE,
    TC,
    WATCHED,
    XDP,
    sum_known,
)
from tui.panes.interfaces.stage_history import lost_history
from tui.session.view import View
from tui.table.fields import TableRow
from tui.table.lines import Line, beside
from tui.toolkit.graphs import Subject, Title, began, graph_lines, titled_graph
from tui.widgets.graph import room_of

_MIN_WIDTH_ABREAST = 110
_LINES, _FEW_LINES = 7, 5
"""Lines of a graph with its title and its times, beside each other and below each other."""


def lost_and_in(view: View, record: TableRow, lost: float | None, width: int) -> list[Line]:
    """Draw what is lost, and beside it what comes in where there is space.

    lost: packets a second, as the path has it.
    """
    since = _since(view, record.name)
    if not is_abreast(width):
        return _indented(_lost(view, record, lost, since, width - 2, _FEW_LINES))
    each = width // 2 - 2
    left = _indented(_lost(view, record, lost, since, each, _LINES))
    return beside(left, came_in(view, record, each, _LINES), width // 2)


def is_abreast(width: int) -> bool:
    """Return whether there is space for what comes in beside what is lost."""
    return width >= _MIN_WIDTH_ABREAST


def came_in(view: View, record: TableRow, width: int, height: int) -> list[Line]:
    """Draw the packets that come in."""
    since = _since(view, record.name)
    subject = Subject(PACKETS_IN, record.key, record.name, record.mark, since)
    return _indented(graph_lines(view, subject, width, height))


def lost_usual(view: View, interface: str) -> float | None:
    """Return how many packets a second are usually lost there.

    None if nothing is known, or not of each that loses some now.
    """
    found = []
    for figure in (KERNEL, XDP, TC):
        usual = view.usual(figure, interface)
        if usual is None and any(view.series(figure, interface, 1)):
            return None
        found.append(usual)
    return sum_known(*found)


def usual_at_stages(view: View, interface: str) -> Mapping[str, float]:
    """Return how many packets a second are usually lost at stages, as far as that is known.

    What the kernel or the device loses is known of all of its stages together: usually nothing at
    each, if it is nothing at all.
    """
    parts = ((KERNEL, ("stack", "socket", "qdisc")), (TC, ("tc-ingress", "tc-egress")))
    found = {}
    for figure, stages in (*parts, (LINK, ("nic", "wire"))):
        if view.usual(figure, interface) == 0:
            found.update(dict.fromkeys(stages, 0.0))
    if (usual := view.usual(XDP, interface)) is not None:
        found["xdp"] = usual
    return found


def _lost(
    view: View, record: TableRow, lost: float | None, since: float | None, width: int, height: int
) -> list[Line]:
    columns = lost_history(view, record, view.span, room_of(width))
    curve = Curve(list(columns), lost, view.span)
    title = Title(record.name, "lost/s", Unit.PACKETS, record.mark)
    usual = lost_usual(view, record.name)
    return titled_graph(view, title, curve, usual, RULE, since, width, height)


def _since(view: View, interface: str) -> float | None:
    """Return when it began to be unusual, in Unix seconds."""
    since = [began(view, figure, interface) for figure in (*WATCHED, TC)]
    return min(filter(None, since), default=None)


def _indented(lines: Sequence[Line]) -> list[Line]:
    return [Line(((" ", ""), *text.spans)) for text in lines]
