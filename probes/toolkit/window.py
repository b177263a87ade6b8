"""Derived columns: functions of what the window added, for one row or for many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, NumberCells, Reals, TupleCells
from probes.model import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

Derive = Callable[[Mapping[str, Value]], Value]
"""A function from the values of the window, by column, to a value."""
Added = Callable[[str], Cells | None]
"""The values of the window in many rows, by column; None: they have to be taken row by row."""
_NUMBER = int, float
_EXACT = 1 << 53
"""Integers below it are floats as well, so that quotients of either are the same."""


def mean(total: str, number: str) -> Derive:
    """Return a function that derives total / number over the window; None without events.

    number: a counter, or a histogram of what is counted.
    """
    return _Mean(total, number)


def quantile(histogram: str, q: float, *, total: str = "", least: str = "") -> Derive:
    """Return a function that derives the q-quantile of a log2 histogram over the window.

    In the histogram's unit, interpolated within its bucket, so it is right within a factor of two.
    None if nothing happened in the window. total: the column with the sum of what is in the
    histogram: the greatest value is never below the mean, and a single value is exact. least: the
    column with the lowest possible value.
    """
    return _Quantile(histogram, q, total, least)


@dataclass(frozen=True, slots=True)
class _Mean:
    total: str
    number: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that it looks at."""
        return self.total, self.number

    def __call__(self, added: Mapping[str, Value]) -> Value:
        t, n = added[self.total], added[self.number]
        n = sum(n) if isinstance(n, tuple) else n
        if not isinstance(t, _NUMBER) or not isinstance(n, _NUMBER) or not n:
            return None
        return float(t / n)

    def many(self, added: Added) -> Reals | None:
        t, n = _reals(added(self.total)), _reals(_counted(added(self.number)))
        if t is None or n is None:
            return None
        known = t.known & n.known & (n.values != 0)
        return Reals(t.values / np.where(known, n.values, 1.0), known)


@dataclass(frozen=True, slots=True)
class _Quantile:
    histogram: str
    q: float
    total: str
    least: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that it looks at."""
        return self.histogram, self.total, self.least

    def __call__(self, added: Mapping[str, Value]) -> Value:
        buckets = added[self.histogram]
        if not isinstance(buckets, tuple) or not (number := sum(buckets)):
            return None
        found = _interpolated(buckets, self.q * number)
        bounds = [found]
        if isinstance(whole := added.get(self.total), _NUMBER) and self.q * number > number - 1:
            if number == 1:
                return float(whole)
            bounds.append(whole / number)
        if isinstance(floor := added.get(self.least), _NUMBER):
            bounds.append(floor)
        return float(max(bounds))

    def many(self, added: Added) -> Reals | None:
        buckets = added(self.histogram)
        number = _reals(_counted(buckets))
        whole = _reals(added(self.total)) if self.total else number
        floor = _reals(added(self.least)) if self.least else number
        if not isinstance(buckets, TupleCells) or number is None or whole is None or floor is None:
            return None
        hits = number.values
        found = _interpolated_many(buckets.raw, self.q * hits)
        if self.least:
            found = _greater(found, floor.values, floor.known)
        if self.total:
            greatest = whole.known & (self.q * hits > hits - 1)
            mean = whole.values / np.maximum(hits, 1.0)
            found = _greater(found, mean, greatest)
            found = np.where(greatest & (hits == 1), whole.values, found)
        return Reals(found, number.known & (hits > 0))


def _greater(
    some: NDArray[np.float64], others: NDArray[np.float64], where: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the greater of two where there are two; of what is no number, as `max` does."""
    return np.where(where & (others > some), others, some)


def _counted(cells: Cells | None) -> Cells | None:
    """Return how much a histogram counts; anything else as it is."""
    if not isinstance(cells, TupleCells) or not cells.raw.size:
        return cells
    if int(cells.raw.max()) * cells.raw.shape[1] >= _EXACT:
        return None
    return NumberCells(cells.raw.sum(axis=1, dtype="i8"), cells.known)


def _reals(cells: Cells | None) -> Reals | None:
    """Return numbers as floats; None if they are none, or some would not be exact."""
    if not isinstance(cells, NumberCells):
        return None
    raw = cells.raw
    if raw.dtype.kind != "f" and raw.size and max(int(raw.max()), -int(raw.min())) >= _EXACT:
        return None
    return Reals(raw.astype("f8"), cells.flags())


def _interpolated(buckets: tuple[int, ...], rank: float) -> float:
    for power, hits in enumerate(buckets):
        if hits:
            if rank <= hits:
                low = 2.0**power if power else 0.0
                return low + (2.0 ** (power + 1) - low) * rank / hits
            rank -= hits
    return float(2 ** len(buckets))


def _interpolated_many(buckets: NDArray[Any], rank: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.full(len(buckets), float(2 ** buckets.shape[1]))
    sought = np.ones(len(buckets), bool)
    for power in range(buckets.shape[1]):
        hits = buckets[:, power].astype("f8")
        here = np.flatnonzero(sought & (hits > 0) & (rank <= hits))
        low = 2.0**power if power else 0.0
        found[here] = low + (2.0 ** (power + 1) - low) * rank[here] / hits[here]
        sought[here] = False
        rank = rank - hits
    return found
