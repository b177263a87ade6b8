"""Columns that several hooks have alike, and what derives them from the window's numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from probes.model import Column, Kind, Value
from probes.toolkit import decode
from probes.units import Unit

INDEX = Column(
    "ifindex", "Index", Unit.NUMBER, Kind.KEY, hidden=True, label=False,
    help="the interface's number; stays when renamed",
)  # fmt: skip
"""The key beside an interface's name that may be another one later."""


def process(who: str) -> tuple[Column, ...]:
    """Whose it is, as `who_c` has it: the process that does something, and its name. who: in words.

    From the C fields `pid` and `comm`.
    """
    return (
        Column("pid", "Pid", Unit.NUMBER, Kind.KEY, "pid", width=7, help=who),
        Column(
            "comm", "Command", kind=Kind.KEY, field="comm", decode=decode.comm, width=16,
            help="its name at that moment",
        ),
    )  # fmt: skip


def interface() -> tuple[Column, ...]:
    """Which interface, by number and by the name it has now."""
    return (
        Column(
            "ifindex", "Index", Unit.NUMBER, Kind.KEY, width=5, label=False,
            help="the interface's number",
        ),
        Column("interface", "Interface", width=15, label=True, help="the interface's name"),
    )  # fmt: skip


def program() -> tuple[Column, ...]:
    """Which BPF program, by number and by name."""
    return (
        Column(
            "program_id", "Id", Unit.NUMBER, Kind.KEY, width=6, label=False,
            help="as bpftool shows it",
        ),
        Column(
            "program", "Program", width=16, label=True,
            help="its name; the kernel keeps 15 characters",
        ),
    )  # fmt: skip


def cgroup() -> tuple[Column, ...]:
    """Which cgroup, by number (the C field `cgroup`) and by path."""
    return (
        Column(
            "cgroup_id", "Id", Unit.NUMBER, Kind.KEY, "cgroup", hidden=True, help="the cgroup's"
        ),
        Column("cgroup", "Cgroup", width=30, help="its path below the mount of cgroup v2"),
    )


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
