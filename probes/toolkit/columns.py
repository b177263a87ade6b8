"""Columns that several hooks have alike, and what derives them from the window's numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from probes.model import Column, Kind, Value
from probes.units import Unit


def latency(counted: str, what: str) -> tuple[Column, ...]:
    """How long something took: `total_ns` and `latency` of the map, mean and p99 made of them.

    counted: the column that says how many were timed; "latency" itself where it counts fewer
    than any other. what: the time, in words.
    """
    return (
        Column("total_ns", "Total", Unit.NS, Kind.COUNTER, "total_ns", hidden=True, help=what),
        Column(
            "latency",
            "Latency",
            Unit.NS,
            Kind.HISTOGRAM,
            "latency",
            hidden=True,
            help=f"{what}, log2 of ns",
            total="total_ns",
        ),
        Column(
            "mean_ns",
            "Mean",
            Unit.NS,
            Kind.DERIVED,
            derive=mean("total_ns", counted),
            help=f"mean {what}, last 10 s",
        ),
        Column(
            "p99_ns",
            "p99",
            Unit.NS,
            Kind.DERIVED,
            derive=quantile("latency", 0.99, total="total_ns"),
            help="99th percentile, last 10 s, within a factor of two",
        ),
    )


def mean(total: str, number: str) -> Callable[[Mapping[str, Value]], Value]:
    """Derives total / number over the window; None where nothing happened in it.

    number: a counter, or a histogram of what is counted.
    """

    def derive(added: Mapping[str, Value]) -> Value:
        t, n = added[total], added[number]
        n = sum(n) if isinstance(n, tuple) else n
        if not isinstance(t, int | float) or not isinstance(n, int | float) or not n:
            return None
        return float(t / n)

    return derive


def quantile(
    histogram: str, q: float, *, total: str = "", least: str = ""
) -> Callable[[Mapping[str, Value]], Value]:
    """Derives the q-quantile of a log2 histogram over the window, in the histogram's unit.

    Interpolated within its bucket, so it is true to a factor of two at worst. None where
    nothing happened in the window. total: the column with the sum of what is in the histogram: the
    greatest is never said to be below the mean, nor one alone to be another than it is. least: the
    column with the least value that there can be.
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
