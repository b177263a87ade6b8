"""The time bar: the moments that can be shown, what began when, and where we are."""

from __future__ import annotations

from collections.abc import Sequence

from probes.recording.bookmarks import LEAST, Bookmark, Moment
from tui.session.view import clock
from tui.table.lines import Line, Span, joined, line

_LETTERS = {"event": ("A", "accent"), "failures": ("F", "bad"), "drops": ("D", "bad")}
"""Kind of a mark -> its letter and role; of several in one cell the last of these. A digit, a
chapter of the tour, is shown as it is, over the others."""
_LEGEND, _CHAPTERS = " D drops F fails A attach ", "1-9 chapters "
_MIN_WIDTH_FOR_LEGEND = 100


def time_bar(
    moments: Sequence[Moment], marks: Sequence[Bookmark], first: int, at: int, width: int
) -> Line:
    """Draw a line of that width. first: number of the first moment; at: of the one shown.

    "=": packets dropped or connects failed all along; letters: something began; "#": here; "<":
    here, but forgotten since: a frozen screen shows its moment for longer than a tape keeps it.
    """
    begin, end = f" {clock(moments[0].wall)} ", f" {clock(moments[-1].wall)} "
    letters = _LETTERS | {m.kind: (m.kind, "accent") for m in marks if m.kind.isdigit()}
    legend = _LEGEND + (_CHAPTERS if len(letters) > len(_LETTERS) else "")
    legend = legend if width >= _MIN_WIDTH_FOR_LEGEND else ""
    room = max(width - len(begin) - len(end) - len(legend), 1)
    count = len(moments)

    def place(number: int) -> int:
        return min((number - first) * room // count, room - 1)

    cells: list[Span] = []
    for x in range(room):
        here = moments[x * count // room : max((x + 1) * count // room, x * count // room + 1)]
        lost = any(m.drops >= LEAST or m.failures >= LEAST for m in here)
        cells.append(("=", "warn") if lost else ("-", "muted"))
    for kind, span in letters.items():
        for mark in marks:
            if mark.kind == kind:
                cells[place(mark.number)] = span
    cells[place(max(at, first))] = ("<" if at < first else "#", "banner")
    return line((begin, "muted"), *joined(cells), (end, "muted"), (legend, "muted"))
