"""Functions that derive a column's value from what was added in the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from probes.model import Value

Derive = Callable[[Mapping[str, Value]], Value]
"""A function from the values of the window, by column, to a value."""


def mean(total: str, number: str) -> Derive:
    """Return a function that derives total / number over the window; None without events.

    number: a counter, or a histogram of what is counted.
    """

    def derive(added: Mapping[str, Value]) -> Value:
        t, n = added[total], added[number]
        n = sum(n) if isinstance(n, tuple) else n
        if not isinstance(t, int | float) or not isinstance(n, int | float) or not n:
            return None
        return float(t / n)

    return derive


def quantile(histogram: str, q: float, *, total: str = "", least: str = "") -> Derive:
    """Return a function that derives the q-quantile of a log2 histogram over the window.

    In the histogram's unit, interpolated within its bucket, so it is right within a factor of two.
    None if nothing happened in the window. total: the column with the sum of what is in the
    histogram: the greatest value is never below the mean, and a single value is exact. least: the
    column with the lowest possible value.
    """

    def derive(added: Mapping[str, Value]) -> Value:
        buckets = added[histogram]
        if not isinstance(buckets, tuple) or not (number := sum(buckets)):
            return None
        found = _interpolated(buckets, q * number)
        bounds = [found]
        if isinstance(whole := added.get(total), int | float) and q * number > number - 1:
            if number == 1:
                return float(whole)
            bounds.append(whole / number)
        if isinstance(floor := added.get(least), int | float):
            bounds.append(floor)
        return float(max(bounds))

    return derive


def _interpolated(buckets: tuple[int, ...], rank: float) -> float:
    for power, hits in enumerate(buckets):
        if hits and rank <= hits:
            low = 2.0**power if power else 0.0
            return low + (2.0 ** (power + 1) - low) * rank / hits
        rank -= hits
    return float(2 ** len(buckets))
