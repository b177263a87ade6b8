"""The strip of vital signs: always at the same place, each number with its history."""

from __future__ import annotations

from collections.abc import Sequence

from probes import units
from probes.analysis.cases import words
from probes.analysis.vitals import Vital, vitals
from tui.session.view import View
from tui.table.fields import SIGNS
from tui.table.lines import Line, Span, fit, line
from tui.toolkit.history_line import PARTS, SECONDS
from tui.widgets.spark import drawn, levels

_BRIEF_SECONDS = 60.0
"""Seconds of history in one line."""
_WIDE, _HIGH = (110, 30)
"""Columns and lines of a screen from which on the strip has two lines."""
_BRIEF_ORDER = ("dropped", "conn fail", "retrans", "in", "calls fail", "connects")
"""Vital signs of one line, in order of importance."""
_TITLE, _SHARE, _RATE, _GAP = 13, 6, 8, 1
_BRIEF_RATE, _BRIEF_SHARE = 8, 6
_SPARK_MOST, _BRIEF_SPARKS = 30, (4, 12)
"""Cells of a history: at most; in one line at least and at most."""


def strip_height(width: int, height: int) -> int:
    """Return how many lines the strip has on a screen of that size; 0: there is no room."""
    if height < 12 or width < 40:
        return 0
    return 2 if width >= _WIDE and height >= _HIGH else 1


def strip(view: View, width: int, height: int) -> list[Line]:
    """Return the strip in so many lines."""
    every = view.once(_vitals)
    return _grid(view, every, width) if height > 1 else [_brief(view, every, width)]


def _vitals(view: View) -> list[Vital]:
    return vitals(view, view.findings(), SECONDS, PARTS)


def _drawn(view: View, vital: Vital, cells: int, seconds: float) -> Span:
    latest = vital.history[-round(seconds / SECONDS * PARTS) :]
    return drawn(levels(latest), cells, ascii=view.ascii), vital.mark or "graph1"


def _rate(vital: Vital) -> str:
    return units.DASH if vital.per_s is None else f"{units.count(vital.per_s)}/s"


def _share(vital: Vital) -> str:
    if vital.share is None:
        return ""
    return words.percent(vital.share) if vital.share else "0%"


# -- two lines: a whole above its part --------------------------------------------------------


def _grid(view: View, every: Sequence[Vital], width: int) -> list[Line]:
    columns = len(every) // 2
    room = (width - 1) // columns
    rows = [[_cell(view, vital, room) for vital in every[row::2]] for row in range(2)]
    return [line(*(span for cell in cells for span in cell)) for cells in rows]


def _cell(view: View, vital: Vital, room: int) -> list[Span]:
    taken = 2 + _TITLE + _SHARE + _RATE + 1
    cells = min(max(room - taken - _GAP, 0), _SPARK_MOST)
    used = taken + cells
    return [
        (f" {SIGNS[vital.mark]}", vital.mark),
        (fit(vital.title, _TITLE), "muted"),
        (fit(_share(vital), _SHARE, right=True), vital.mark),
        (fit(_rate(vital), _RATE, right=True), vital.mark if vital.per_s is not None else "muted"),
        (" ", ""),
        _drawn(view, vital, cells, SECONDS),
        (" " * max(room - used, 0), ""),
    ]


# -- one line ----------------------------------------------------------------------------------


def _brief(view: View, every: Sequence[Vital], width: int) -> Line:
    """Draw those that fit. Parts get a history first: a whole seldom tells what is wrong."""
    kept = _that_fit(every, width)
    spare = width - sum(map(_brief_width, kept))
    drawn = [v for v in kept if v.part] if spare < len(kept) * (_BRIEF_SPARKS[0] + 1) else kept
    cells = min(spare // max(len(drawn), 1) - 1, _BRIEF_SPARKS[1])
    spans: list[Span] = []
    for vital in kept:
        spans += [
            (f" {SIGNS[vital.mark]}", vital.mark),
            (f"{vital.brief} ", "muted"),
            (fit(_number(vital), _number_width(vital)), vital.mark),
        ]
        if vital in drawn and cells >= _BRIEF_SPARKS[0]:
            spans += [_drawn(view, vital, cells, _BRIEF_SECONDS), (" ", "")]
    return line(*spans)


def _that_fit(every: Sequence[Vital], width: int) -> list[Vital]:
    kept = list(every)
    for brief in reversed(_BRIEF_ORDER):
        if sum(map(_brief_width, kept)) <= width:
            break
        kept = [vital for vital in kept if vital.brief != brief]
    return kept


def _brief_width(vital: Vital) -> int:
    return 2 + len(vital.brief) + 1 + _number_width(vital)


def _number_width(vital: Vital) -> int:
    return _BRIEF_SHARE if vital.part else _BRIEF_RATE


def _number(vital: Vital) -> str:
    """Return the share of a part, else the rate."""
    return _rate(vital) if vital.share is None else _share(vital)
