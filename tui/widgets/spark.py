"""A history in one line of a few cells: each as high as the greatest value of its part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*#@"
_FULL = len(_BLOCKS) - 1
UNKNOWN = -1
"""The level of what is not known."""

Levels = tuple[int, ...]


def levels(values: Sequence[float | None]) -> Levels:
    """Return values as levels of 0 to 7; 0 is of nothing but 0."""
    top = max([v for v in values if v is not None], default=0.0)
    return tuple([UNKNOWN if v is None else _level(v, top) for v in values])


def _level(value: float, top: float) -> int:
    return max(round(value / top * _FULL), 1) if value > 0 else 0


def drawn(levels: Levels, width: int, *, ascii: bool = False) -> str:
    """Draw levels in that many cells, the newest at the right end; the unknown leaves a gap."""
    steps, most = (_ASCII if ascii else _BLOCKS), len(levels)
    if not most or width < 1:
        return " " * width
    firsts = [cell * most // width for cell in range(width + 1)]
    tops = [max(levels[first : max(end, first + 1)]) for first, end in pairwise(firsts)]
    return "".join([" " if top == UNKNOWN else steps[top] for top in tops])
