"""A log2 histogram over time as a heat map: time to the right, buckets upwards, hits by shade."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from probes import units
from probes.analysis.heat import SLOT_SECONDS, HeatSlot
from tui.session.view import clock
from tui.table.lines import Line, Span, joined, line

_SHADES = " ·░▒▓█"
_ASCII = " .:+*#"
_LABEL, _LEAST, _WIDEST = 10, 8, 4


def heat_map(
    slots: Sequence[HeatSlot], width: int, unit: Callable[[float], str], *, ascii: bool = False
) -> list[Line]:
    """Draw a line for each bucket, greatest to least that was hit, and two for the time.

    Shades grow with the logarithm of the hits, so that a rare slow one is seen beside many quick
    ones. If there are more slots than cells, neighbours are added up. unit: bound -> text.
    """
    room = max(width - _LABEL - 1, _LEAST)
    each = max(-(-len(slots) // room), 1)
    columns = [_sum(slots[at : at + each]) for at in range(0, len(slots), each)]
    hit = sorted({bucket for column in columns for bucket in column})
    if not hit:
        return [line(("  nothing in the last minutes", "muted"))]
    most = max(hits for column in columns for hits in column.values())
    shades = _ASCII if ascii else _SHADES
    wide = min(max(room // len(columns), 1), _WIDEST)
    lines = []
    for bucket in range(hit[-1], hit[0] - 1, -1):
        label = f"{unit(2**bucket if bucket else 0):>{_LABEL - 2}}+ "
        cells = [_cell(column.get(bucket, 0), most, shades, wide) for column in columns]
        lines.append(line((label, "muted"), *joined(cells)))
    return [*lines, *_time(slots, wide * len(columns), each, most, shades)]


def _sum(slots: Sequence[HeatSlot]) -> Mapping[int, int]:
    if len(slots) == 1:
        return slots[0].hits
    found: dict[int, int] = {}
    for slot in slots:
        for bucket, hits in slot.hits.items():
            found[bucket] = found.get(bucket, 0) + hits
    return found


def _cell(hits: int, most: int, shades: str, wide: int) -> Span:
    level = 0
    if hits:
        steps = len(shades) - 1
        level = max(math.ceil(steps * math.log2(1 + hits) / math.log2(1 + most)), 1)
    return shades[level] * wide, "graph1" if level else ""


def _time(
    slots: Sequence[HeatSlot], cells: int, each: int, most: int, shades: str
) -> tuple[Line, Line]:
    """Draw the range of time, and the length of a column."""
    begin, end = clock(slots[0].wall), clock(slots[-1].wall + SLOT_SECONDS)
    gap = max(cells - len(begin) - len(end), 1)
    said = f"{each * SLOT_SECONDS} s a column, {shades[-1]} {units.count(most)} at most"
    return (
        line((f"{'':{_LABEL}}{begin}{'':{gap}}{end}", "muted")),
        line((f"{'':{_LABEL}}{said}", "muted")),
    )
