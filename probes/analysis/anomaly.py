"""Anomalies: a row's number against its usual value, and since when. Pure.

The usual value is the median of the last minutes without those that were themselves unusual. So
an incident does not become normal by lasting: while it goes on, the usual value is the one from
before. With too few values nothing is called unusual; what is alarming by itself is marked, as
being so since the start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from probes.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH = 1000
"""Values kept of a row: a quarter of an hour at one a second, and a bit more."""
WINDOW, LEARN, HOLD = 900, 15, 10
"""Values that the usual looks back; least that it needs; quiet ones that end an anomaly."""
AGAIN, ENOUGH = 15, 150
"""Ticks after which the usual is asked for again; values of which it is the median, at most."""


class Threshold(NamedTuple):
    """The bounds from which a number is unusual: `least`, and so many `times` the usual.

    alarm: from where it is marked even without a history; None: never. absent: the value of an
    absent row; None: unknown.
    """

    least: float
    times: float = 3.0
    alarm: float | None = None
    absent: float | None = 0.0


class Verdict(NamedTuple):
    """The verdict on a row. since: Unix seconds; None: nothing is unusual.

    now: the greatest of the last `HOLD` values. usual: the value before, None: unknown. new: the
    row was not there before.
    """

    since: float | None = None
    now: float = 0.0
    usual: float | None = None
    new: bool = False

    @property
    def times(self) -> float:
        """How many times the usual; infinite if that is 0 or unknown."""
        return self.now / self.usual if self.usual else math.inf


CALM = Verdict()


class ManyVerdicts(NamedTuple):
    """The verdicts on many rows. since, usual: not a number: nothing is unusual; unknown."""

    since: NDArray[np.float64]
    now: NDArray[np.float64]
    usual: NDArray[np.float64]
    new: NDArray[np.bool_]

    @property
    def unusual(self) -> NDArray[np.bool_]:
        """Which rows are unusual."""
        return ~np.isnan(self.since)

    @property
    def times(self) -> NDArray[np.float64]:
        """How many times the usual each is; infinite if that is 0 or unknown."""
        known = self.usual > 0
        return np.where(known, self.now / np.where(known, self.usual, 1.0), math.inf)

    def of(self, places: NDArray[np.intp]) -> ManyVerdicts:
        """Return the verdicts on some rows."""
        return ManyVerdicts(
            self.since[places], self.now[places], self.usual[places], self.new[places]
        )

    def at(self, place: int) -> Verdict:
        """Return the verdict on one row."""
        if self.since[place] != self.since[place]:
            return CALM
        usual = float(self.usual[place])
        before = None if usual != usual else usual
        return Verdict(
            float(self.since[place]), float(self.now[place]), before, bool(self.new[place])
        )


def calm(number: int) -> ManyVerdicts:
    """Return so many verdicts that nothing is unusual."""
    nothing = np.full(number, math.nan)
    return ManyVerdicts(nothing, np.zeros(number), nothing.copy(), np.zeros(number, bool))


def usual(values: Sequence[float]) -> float | None:
    """Return the usual among values of calm times; None if there are too few."""
    if len(values) < LEARN:
        return None
    return median(values[:: len(values) // ENOUGH + 1])


def unusual(value: float, before: float | None, rule: Threshold) -> bool:
    """Return whether a value is unusual, given the usual one (None: unknown)."""
    if before is None:
        return rule.alarm is not None and value >= rule.alarm
    return value >= rule.least and value >= rule.times * before


def are_unusual(
    values: NDArray[np.float64], before: NDArray[np.float64], rule: Threshold
) -> NDArray[np.bool_]:
    """Return the same for many rows; not a number: unknown."""
    with np.errstate(invalid="ignore", over="ignore"):
        over = (values >= rule.least) & (values >= rule.times * before)
        alarming = values >= (math.inf if rule.alarm is None else rule.alarm)
    return np.where(np.isnan(before), alarming & (rule.alarm is not None), over)
