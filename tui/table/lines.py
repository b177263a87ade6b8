"""What widgets are drawn from: lines of spans, each a text and the role that colours it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
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
    """Make a line of spans; bare text is in the foreground."""
    return Line(tuple((s, "") if isinstance(s, str) else s for s in spans if s), ground)


def joined(cells: Sequence[Span]) -> list[Span]:
    """Join neighbours of the same role."""
    found: list[Span] = []
    for text, role in cells:
        if found and found[-1][1] == role:
            found[-1] = (found[-1][0] + text, role)
        else:
            found.append((text, role))
    return found


def width_of(text: str) -> int:
    """Return the cells that a text takes; wide characters take two."""
    return len(text) if text.isascii() else cell_len(text)


_NARROW = re.compile("[ -~\u2500-\u259f\u2800-\u28ff]*").fullmatch
"""Matches ASCII, and what graphs are drawn with: lines, blocks, braille."""


@lru_cache(4096)
def _by_cells(text: str) -> bool:
    """Return whether each character takes one cell.

    Comparing lengths is not enough: a wide and a combining character are two of each.
    """
    return bool(_NARROW(text)) or all(cell_len(c) == 1 for c in text)


def cut(text: Line, width: int) -> Line:
    """Return a line that fits into so many cells: with a "~" at its end if some is missing."""
    whole = "".join([span for span, _ in text.spans]).rstrip()
    if width_of(whole) <= width:
        return text
    left, spans = width - 1, list[Span]()
    for span, role in text.spans:
        wide = width_of(span)
        spans.append((span if wide <= left else set_cell_size(span, left), role))
        left -= min(wide, left)
    return Line((*[span for span in spans if span[0]], ("~", "muted")), text.ground)


_LONG_WORD, _LEAST_WORD = 16, 8
"""Letters from which on a word is cut within, and those that are left; an IPv4 address is short."""


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Pad a text to exactly that many cells, or cut it, with a "~" for what is missing."""
    have = width_of(text)
    if have > width:
        return set_cell_size(text, width - 1) + "~" if width > 1 else "~"[:width]
    return " " * (width - have) + text if right else text + " " * (width - have)


def fit_words(text: str, width: int) -> str:
    """Do as `fit`, but cut long names within: the first and the last word say what and where."""
    words = text.split(" ")
    for _ in words:
        over = width_of(" ".join(words)) - width
        if over <= 0:
            break
        at = max(range(len(words)), key=lambda n: len(words[n]))
        if len(words[at]) < _LONG_WORD:
            break
        words[at] = _cut_within(words[at], max(len(words[at]) - over, _LEAST_WORD))
    return fit(" ".join(words), width)


def _cut_within(word: str, length: int) -> str:
    """Return a word of so many letters, of which some within are replaced by a "~".

    A number after "#" stays whole: what is left of it would be another's.
    """
    if len(word) <= length:
        return word
    tail, number = (length - 1) // 3, len(word) - word.rfind("#")
    if "#" in word and number < length:
        tail = max(tail, number)
    return f"{word[: length - 1 - tail]}~{word[len(word) - tail :]}"


def wrap(text: str, width: int) -> Iterator[str]:
    """Yield a text in pieces of at most that many cells, broken at spaces if possible."""
    row, width = "", max(width, 1)
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


def wrap_parts(parts: Iterable[str], width: int) -> Iterator[str]:
    """Yield parts in lines of at most that many cells, three spaces apart; none is broken."""
    row = ""
    for part in parts:
        if row and width_of(row) + 3 + width_of(part) > width:
            yield row
            row = ""
        row = f"{row}   {part}" if row else part
    if row:
        yield row


def changes(old: Line, new: Line, width: int) -> list[tuple[int, int]]:
    """Return where two lines differ, as (first cell, cells); near differences are joined.

    What is beyond the width differs unseen.
    """
    if old.ground != new.ground:
        return [(0, width)]
    found: list[tuple[int, int]] = []
    for start, end in _differing(old.spans, new.spans, width):
        if start >= width:
            break
        if found and start - sum(found[-1]) <= _JOIN:
            start = found.pop()[0]
        found.append((start, min(end, width) - start))
    return found


_JOIN = 5  # moving the cursor costs about as much as writing this many cells again


def _differing(
    old: tuple[Span, ...], new: tuple[Span, ...], width: int
) -> Iterator[tuple[int, int]]:
    """Yield (first cell, cell after the last) of each difference."""
    x = 0
    for place, (was, now) in enumerate(zip(old, new, strict=False)):
        text = now[0]
        cells = len(text) if text.isascii() else cell_len(text)  # thousands in each paint
        if was != now:
            if width_of(was[0]) != cells:
                yield from _apart(old[place:], new[place:], x, width)
                return
            if was[1] != now[1]:
                yield x, x + cells
            else:
                yield from _within(was[0], now[0], x, cells)
        x += cells
    if len(old) != len(new) and x < width:
        both = min(len(old), len(new))
        yield from _apart(old[both:], new[both:], x, width)


def _apart(
    old: tuple[Span, ...], new: tuple[Span, ...], x: int, width: int
) -> Iterator[tuple[int, int]]:
    """Yield where lines differ from a cell on, from which their spans have other lengths."""
    was, now = (_cells(spans, width - x) for spans in (old, new))
    if was is None or now is None:
        yield x, width
    else:
        yield from _places([at for at in range(width - x) if was[at] != now[at]], x)


def _cells(spans: tuple[Span, ...], width: int) -> list[Span] | None:
    """Return each cell's character and role; None if a character takes more than one."""
    if not all(_by_cells(text) for text, _ in spans):
        return None
    cells = [(character, role) for text, role in spans for character in text]
    return cells + [(" ", "")] * (width - len(cells))


def _within(was: str, now: str, x: int, cells: int) -> Iterator[tuple[int, int]]:
    """Yield where two texts of the same width differ."""
    if not (_by_cells(was) and _by_cells(now)):  # no cell has a character's place
        yield x, x + cells
    else:
        yield from _places([at for at in range(cells) if was[at] != now[at]], x)


def _places(differing: list[int], x: int) -> Iterator[tuple[int, int]]:
    """Yield first cells and cells after the last; near differences are joined."""
    for at, place in enumerate(differing):
        if at == 0:
            first = place
        elif place - differing[at - 1] > _JOIN:
            yield x + first, x + differing[at - 1] + 1
            first = place
    if differing:
        yield x + first, x + differing[-1] + 1


def pieces(
    text: Line, regions: Iterable[tuple[int, int]], width: int
) -> Iterator[tuple[int, str, str]]:
    """Yield (first cell, text, role) of what each region has, from left to right.

    regions: (first cell, cells).
    """
    todo, none = iter(regions), (0, 0)
    start, cells = next(todo, none)
    x = 0
    for part, role in (*text.spans, (" " * width, "")):
        after = x + (len(part) if part.isascii() else cell_len(part))
        while cells and start < after:
            end = min(start + cells, after)
            yield start, _cut(part, start - x, end - x), role
            if end < start + cells:  # the rest of it is in the next span
                start, cells = end, start + cells - end
            else:
                start, cells = next(todo, none)
        if not cells:
            return
        x = after


def _cut(text: str, start: int, end: int) -> str:
    """Return those cells of a text; half a wide character becomes a space."""
    if _by_cells(text):
        return text[start:end]
    kept, x = "", 0
    for character in text:
        after = x + cell_len(character)
        if after == x:  # a combining one: it goes with the character before it
            kept += character if start < x <= end and kept else ""
            continue
        if start <= x and after <= end:
            kept += character
        elif x < end and after > start:
            kept += " " * (min(after, end) - max(x, start))
        x = after
    return kept


def padded(text: Line, width: int) -> Line:
    """Return the line in exactly that many cells."""
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
    """Put two blocks side by side, the left one in that many cells."""
    high = max(len(left), len(right))
    left, right = (b + [BLANK] * (high - len(b)) for b in (left, right))
    return [
        Line(padded(a, width).spans + b.spans, a.ground) for a, b in zip(left, right, strict=True)
    ]
