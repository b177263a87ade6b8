"""Columns that several hooks share, and functions that derive values over the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from probes.model import Column, Kind, Value
from probes.toolkit import decode
from probes.units import Unit

INDEX = Column(
    "ifindex", "Index", Unit.NUMBER, Kind.KEY, hidden=True, label=False,
    help="interface number; unchanged by renaming",
)  # fmt: skip
"""The key beside an interface's name, which may belong to another interface later."""


def process(who: str) -> tuple[Column, ...]:
    """Return pid and command of the process that does something, as `who_c` names it.

    From the C fields `pid` and `comm`. who: what the process does, in words.
    """
    return (
        Column("pid", "Pid", Unit.NUMBER, Kind.KEY, "pid", width=7, help=who),
        Column(
            "comm", "Command", kind=Kind.KEY, field="comm", decode=decode.comm, width=16,
            help="the process's name at that moment",
        ),
    )  # fmt: skip


def interface() -> tuple[Column, ...]:
    """Return the columns of an interface: its number and its present name."""
    return (
        Column(
            "ifindex", "Index", Unit.NUMBER, Kind.KEY, width=5, label=False,
            help="interface number",
        ),
        Column("interface", "Interface", width=15, label=True, help="interface name"),
    )  # fmt: skip


def program() -> tuple[Column, ...]:
    """Return the columns of a BPF program: its id and its name."""
    return (
        Column(
            "program_id", "Id", Unit.NUMBER, Kind.KEY, width=6, label=False,
            help="program id, as bpftool shows it",
        ),
        Column(
            "program", "Program", width=16, label=True,
            help="program name; the kernel keeps 15 characters",
        ),
    )  # fmt: skip


def cgroup() -> tuple[Column, ...]:
    """Return the columns of a cgroup: its id (the C field `cgroup`) and its path."""
    return (
        Column("cgroup_id", "Id", Unit.NUMBER, Kind.KEY, "cgroup", hidden=True, help="cgroup id"),
        Column("cgroup", "Cgroup", width=30, help="path below the mount of cgroup v2"),
    )


def latency(counted: str, what: str) -> tuple[Column, ...]:
    """Return the columns of a duration.

    The map's `total_ns` and `latency`, and mean and p99 of them.

    counted: the column with the number of timed events; "latency" itself where it counts fewer than
    any other. what: the time, in words.
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


def quantile(
    histogram: str, q: float, *, total: str = "", least: str = ""
) -> Callable[[Mapping[str, Value]], Value]:
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
