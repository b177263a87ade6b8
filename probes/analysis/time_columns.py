"""Values over time in columns of equal length, as graphs draw them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple


class Curve(NamedTuple):
    """A row's number over time. None: not known.

    columns: the greatest value in each, the oldest first. now: the latest value. seconds: what all
    columns cover.
    """

    columns: list[float | None]
    now: float | None
    seconds: float


def in_columns(
    times: Sequence[float], values: Sequence[float], end: float, seconds: float, number: int
) -> list[float | None]:
    """Return the greatest value in each column, the oldest first.

    times: when each value was read, monotonic seconds; a value is of the time since the one before.
    values: not a number where it is not known. end: in the last column. A column is a multiple of
    its length, so that its value stays the same while the graph moves on.
    """
    found: list[float | None] = [None] * number
    if not times or number <= 0:
        return found
    length = seconds / number
    last = ceil(end / length)
    if last - 1 <= ceil(times[-1] / length):  # hooks are not read at quite the same moment
        last = ceil(times[-1] / length)
    first, before = last - number, ceil(times[0] / length) - 1
    for time, value in zip(times, values, strict=True):
        here = ceil(time / length)
        if value == value:
            for at in range(max(min(before + 1, here), first + 1), min(here, last) + 1):
                known = found[at - first - 1]
                if known is None or value > known:
                    found[at - first - 1] = value
        before = here
    return found
