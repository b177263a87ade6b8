"""The line below a graph: how long ago, and where something began."""

from __future__ import annotations

from typing import NamedTuple

from tui.table.lines import Line, Span, joined, line

_SPACING = 14
"""Cells between two times, at least."""
_STEPS = (30, 60, 120, 300, 600, 900)


class BeganAt(NamedTuple):
    """The moment at which something began. ago: seconds. clock: the time of day."""

    ago: float
    clock: str
    role: str = "bad"


def time_axis(
    seconds: float, width: int, onset: BeganAt | None = None, *, ascii: bool = False
) -> Line:
    """Draw the times of the last seconds in so many cells, the newest at the right.

    A time that would touch the onset's is left out.
    """
    cells: list[Span] = [(" ", "")] * width
    if onset is not None:
        _put_onset(cells, seconds, onset, ascii=ascii)
    _put(cells, width - 3, "now", "muted")
    _put(cells, 0, _ago(seconds), "muted")
    step = next((s for s in _STEPS if s * width / seconds >= _SPACING), int(seconds))
    for ago in range(step, int(seconds), step):
        text = _ago(ago)
        _put(cells, column(ago, seconds, width) - len(text) // 2, text, "muted")
    return line(*joined(cells))


def column(ago: float, seconds: float, width: int) -> int:
    """Return the cell of a moment so many seconds ago."""
    return min(max(int(width - ago * width / seconds), 0), width - 1)


def _put_onset(cells: list[Span], seconds: float, onset: BeganAt, *, ascii: bool) -> None:
    before, mark = ("<", "^") if ascii else ("◂", "▲")
    if onset.ago > seconds:
        _put(cells, 0, f"{before}{onset.clock}", onset.role)
        return
    at, width = column(onset.ago, seconds, len(cells)), len(onset.clock) + 1
    if at + width <= len(cells):
        _put(cells, at, f"{mark}{onset.clock}", onset.role)
    else:
        _put(cells, at + 1 - width, f"{onset.clock}{mark}", onset.role)


def _put(cells: list[Span], at: int, text: str, role: str) -> None:
    """Write a text, unless it would touch another or not fit."""
    end = at + len(text)
    if at < 0 or end > len(cells) or any(c != " " for c, _ in cells[max(at - 1, 0) : end + 1]):
        return
    cells[at:end] = [(character, role) for character in text]


def _ago(seconds: float) -> str:
    whole = int(seconds)
    return f"-{whole // 60}m" if whole % 60 == 0 else f"-{whole}s"
