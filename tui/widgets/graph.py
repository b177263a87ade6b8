"""History as a graph of a few lines with its scale and its times.

A line has few spans, so that a moving graph is cheap on the wire: the colour changes where values
begin to be bad, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from probes.units import Unit
from tui.table.lines import Line, Span, joined
from tui.widgets.scale import Scale, scale_for
from tui.widgets.time_axis import BeganAt, time_axis

_BLOCKS, _ASCII = " ▁▂▃▄▅▆▇█", " .:|"
GUTTER = 6
"""Cells of the scale, whatever is written there: so graphs below each other have the same times."""
_LEAST_HEIGHT = 4
"""Lines from which the times are written below."""
_NOTHING = "no readings yet"


@dataclass(frozen=True, slots=True)
class Graph:
    """The values of a graph, and what is marked of them.

    columns: values, the oldest first, one a cell; None: not known, a gap. seconds: what they cover.
    bad: the columns that are, coloured by `role` above the usual value. onset: when it began.
    lower: the part of each value that is well; what is above it is shaded, and coloured by `role`.
    """

    columns: Sequence[float | None]
    seconds: float
    unit: Unit
    usual: float | None = None
    bad: Sequence[bool] = ()
    role: str = "graph3"
    onset: BeganAt | None = None
    bits: bool = False
    lower: Sequence[float | None] = ()


def room_of(width: int) -> int:
    """Return how many columns a graph of that width has."""
    return max(width - GUTTER, 1)


def graph(shown: Graph, width: int, height: int, *, ascii: bool = False) -> list[Line]:
    """Draw a graph in so many cells and lines, of which its scale and its times take some."""
    lines, room = height - 1 if height >= _LEAST_HEIGHT else height, room_of(width)
    gap: list[float | None] = [None] * max(room - len(shown.columns), 0)
    columns = [*gap, *shown.columns[-room:]]
    most = max((v for v in columns if v is not None), default=0.0)
    scale = scale_for(most, lines, shown.unit, bits=shown.bits, least=shown.usual or 0.0)
    drawn = _Area(shown, columns, scale, lines, ascii=ascii)
    cross, edge = ("+", "|") if ascii else ("┼", "┤")
    found = []
    for y in reversed(range(lines)):
        text = f"{scale.marks.get(y, ''):>{GUTTER - 1}}{edge if y else cross}"
        found.append(Line(((text, "muted"), *drawn.line(y))))
    if lines < height:
        times = time_axis(shown.seconds, room, shown.onset, ascii=ascii)
        found.append(Line(((" " * GUTTER, ""), *times.spans)))
    return found


class _Area:
    """The lines of a graph beside its scale, from the bottom."""

    def __init__(
        self, shown: Graph, columns: list[float | None], scale: Scale, lines: int, *, ascii: bool
    ) -> None:
        self._glyphs = _ASCII if ascii else _BLOCKS
        self._full = len(self._glyphs) - 1
        self._rule = "-" if ascii else "─"
        self._columns, self._lines = columns, lines
        self._empty = all(value is None for value in columns)
        self._levels = _levels(columns, lines * self._full, scale.top)
        bad = [False] * (len(columns) - len(shown.bad)) + list(shown.bad)[-len(columns) :]
        self._parts = [(is_bad, len(list(part))) for is_bad, part in groupby(bad)]
        self._role, self._shade = shown.role, "x" if ascii else "▒"
        below = list(shown.lower)[-len(columns) :]
        gap: list[float | None] = [None] * (len(columns) - len(below))
        self._lower = _levels([*gap, *below], lines * self._full, scale.top) if below else []
        usual = shown.usual
        self._usual = ceil(usual / scale.top * lines) - 1 if usual is not None else None
        self._calm = round(usual / scale.top * lines) if usual is not None else 0

    def line(self, y: int) -> tuple[Span, ...]:
        if self._empty and y == self._lines // 2:
            return ((f"{_NOTHING:^{len(self._columns)}}", "muted"),)
        full, glyphs = self._full, self._glyphs
        below = y * full
        if self._lower:
            return self._stacked(y)
        text = "".join([glyphs[min(max(v - below, 0), full)] for v in self._levels])
        ruled = y in (0, self._usual) and " " in text
        return tuple(joined(self._ruled(text, y) if ruled else self._coloured(text, y)))

    def _stacked(self, y: int) -> tuple[Span, ...]:
        """Draw what is well, and shaded above it what is not."""
        full, below = self._full, y * self._full
        cells: list[Span] = []
        for value, well, known in zip(self._levels, self._lower, self._columns, strict=True):
            high, low = (min(max(v - below, 0), full) for v in (value, min(well, value)))
            if not high:
                rule = y == 0 and known is not None
                cells.append((self._rule, "muted") if rule else (" ", ""))
            elif low == high or 2 * low >= full:
                cells.append((self._glyphs[low], "graph1"))
            else:
                shade = self._shade if 2 * high >= full else self._glyphs[high]
                cells.append((shade, self._role))
        return tuple(joined(cells))

    def _coloured(self, text: str, y: int) -> list[Span]:
        if not text.strip() or y < self._calm:  # most of this line is below what is usual
            return [(text, "graph1")]
        spans, at = list[Span](), 0
        for bad, cells in self._parts:
            spans.append((text[at : at + cells], self._role if bad else "graph1"))
            at += cells
        return spans

    def _ruled(self, text: str, y: int) -> list[Span]:
        """Draw the zero line or that of the usual value, where no value is above it."""
        spans, at, known = list[Span](), 0, self._columns
        rule = [c == " " and (y != 0 or known[x] is not None) for x, c in enumerate(text)]
        for ruled, some in groupby(rule):
            cells = len(list(some))
            if ruled:
                spans.append((self._rule * cells, "muted"))
            else:
                spans += _cut(self._coloured(text, y), at, at + cells)
            at += cells
        return spans


def _cut(spans: list[Span], begin: int, end: int) -> list[Span]:
    found, at = list[Span](), 0
    for text, role in spans:
        piece = text[max(begin - at, 0) : max(end - at, 0)]
        if piece:
            found.append((piece, role))
        at += len(text)
    return found


def _levels(values: Sequence[float | None], steps: int, top: float) -> list[int]:
    """Return each value as a height of 0..steps; any value above 0 shows at least one step."""
    if top <= 0:
        return [0] * len(values)
    # Called for thousands of values a paint: `round` alone, as none is above the greatest.
    return [0 if not v else round(v / top * steps) or 1 if v > 0 else 1 for v in values]
