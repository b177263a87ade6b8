"""What widgets are drawn from: lines of spans, a span being text and the role that colours it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
"""Text and role ("" is the foreground)."""


class Line(NamedTuple):
    """One line of the screen. ground: what lies below it: "", "selection" or "banner"."""

    spans: tuple[Span, ...] = ()
    ground: str = ""


BLANK = Line()


def line(*spans: Span | str, ground: str = "") -> Line:
    """A line of spans; bare text is in the foreground."""
    return Line(tuple((s, "") if isinstance(s, str) else s for s in spans if s), ground)


def width_of(text: str) -> int:
    """Cells the text takes; wide characters take two."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly that many cells: padded, or cut with a "~" where something is missing."""
    have = width_of(text)
    if have > width:
        return set_cell_size(text, width - 1) + "~" if width > 1 else "~"[:width]
    return " " * (width - have) + text if right else text + " " * (width - have)


def wrap(text: str, width: int) -> Iterator[str]:
    """The text in pieces of at most that many cells, broken at spaces where there are any."""
    row = ""
    for word in text.split():
        if row and width_of(row) + 1 + width_of(word) > width:
            yield row
            row = ""
        row = f"{row} {word}" if row else word
        while width_of(row) > width:
            yield row[:width]
            row = row[width:]
    if row:
        yield row


def changes(old: Line, new: Line, width: int) -> Iterator[tuple[int, int]]:
    """Where two lines differ, as (first cell, cells); near ones joined."""
    if old.ground != new.ground:
        yield 0, width
        return
    start = end = -1
    before, after = _cells(old.spans, width), _cells(new.spans, width)
    for x, (was, now) in enumerate(zip(before, after, strict=True)):
        if was == now:
            continue
        if start >= 0 and x - end > _JOIN:
            yield start, end - start
            start = x
        elif start < 0:
            start = x
        end = x + 1
    if start >= 0:
        yield start, end - start


_JOIN = 5  # moving the cursor costs about as much as writing this many cells again


def _cells(spans: Iterable[Span], width: int) -> list[Span]:
    cells: list[Span] = []
    for text, role in spans:
        if text.isascii():
            cells += [(c, role) for c in text]
        else:
            for c in text:
                cells.append((c, role))
                # The second half of a wide character goes with the first.
                cells += [(c, "wide")] * (cell_len(c) - 1)
    del cells[width:]
    cells += [(" ", "")] * (width - len(cells))
    return cells


def padded(text: Line, width: int) -> Line:
    """The line in exactly that many cells."""
    spans: list[Span] = []
    space = width
    for part, role in text.spans:
        have = width_of(part)
        spans.append((part if have <= space else fit(part, space), role))
        space -= min(have, space)
    if space:
        spans.append((" " * space, ""))
    return Line(tuple(spans), text.ground)


def beside(left: list[Line], right: list[Line], width: int) -> list[Line]:
    """Two blocks side by side, the left one in that many cells."""
    high = max(len(left), len(right))
    left, right = (b + [BLANK] * (high - len(b)) for b in (left, right))
    return [
        Line(padded(a, width).spans + b.spans, a.ground) for a, b in zip(left, right, strict=True)
    ]
