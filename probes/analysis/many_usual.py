"""What is usual for many rows at once: the same numbers as `Judge.usual` gives for each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from probes.analysis.anomaly import ENOUGH, LEARN, WINDOW, Threshold
from probes.analysis.episodes import Episodes
from probes.analysis.known_rows import KnownRows, ints
from probes.analysis.series import Series
from probes.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AT_ONCE = 2048
"""Rows whose values are taken together: 8 MB of them."""


def many_usual(
    rows: KnownRows,
    series: Series,
    episodes: Episodes,
    slots: NDArray[np.int32],
    until: int,
    rule: Threshold,
    begun: int,
) -> NDArray[np.float64]:
    """Return what is usual up to a tick, of rows that are there; not a number: unknown."""
    found, first = np.full(len(slots), math.nan), ints(rows.first)[slots].astype("i8")
    enough = np.flatnonzero((until + 1 - first >= LEARN) | (rule.absent is not None))
    for place in range(0, len(enough), _AT_ONCE):
        some = enough[place : place + _AT_ONCE]
        found[some] = _usual(series, episodes, slots[some], first[some], until, rule, begun)
    return found


def _usual(
    series: Series,
    episodes: Episodes,
    slots: NDArray[np.int32],
    first: NDArray[np.int64],
    until: int,
    rule: Threshold,
    begun: int,
) -> NDArray[np.float64]:
    since = max(until - WINDOW + 1, 0)
    times = [
        (np.maximum(begin, first), np.maximum(end - np.maximum(begin, first), 0))
        for begin, end in episodes.calm(slots, since, until)
    ]
    value, absent = rule.absent, np.zeros(len(slots), "i8")
    if value is not None:
        absent = np.maximum(np.minimum(first, until + 1) - max(begun, since), 0)
    # Every n-th value is enough, and is all that is looked at.
    step = (sum([number for _, number in times], absent)) // ENOUGH + 1
    window = series.window(slots, since, until + 1)
    columns = [_each(window, begin - since, -(-number // step), step) for begin, number in times]
    if value is not None and absent.any():
        there = np.arange(ENOUGH)[:, None] < -(-absent // step)
        columns.append(np.where(there, value, math.nan))
    return _medians(np.ascontiguousarray(np.concatenate(columns).T))


def _each(
    window: NDArray[np.float32],
    begin: NDArray[np.int64],
    number: NDArray[np.int64],
    step: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return so many values of each row, every `step`-th."""
    turns = np.arange(int(number.max(initial=0)))[:, None]
    there = turns < number
    found = window[np.where(there, begin + turns * step, 0), np.arange(len(step))]
    return np.where(there, found, np.float32(math.nan))


def _medians(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the usual among each row's values: see `anomaly.usual`."""
    there = ~np.isnan(values)
    number = there.sum(axis=1)
    if (number >= ENOUGH).any():
        turn = np.cumsum(there, axis=1) - 1
        there &= turn % (number // ENOUGH + 1)[:, None] == 0
        values = np.where(there, values, math.nan)
    left = there.sum(axis=1)
    values.sort(axis=1)
    every, last = np.arange(len(values)), max(values.shape[1] - 1, 0)
    if not values.shape[1]:
        return np.full(len(values), math.nan)
    low = values[every, np.maximum(left - 1, 0) // 2].astype("f8")
    high = values[every, np.minimum(left // 2, last)].astype("f8")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(number < LEARN, math.nan, (low + high) / 2)
