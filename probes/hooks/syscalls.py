"""Syscalls: calls, errors and latency of every system call on the host."""

from probes.model import Column, Hook, Kind, mean, quantile
from probes.units import Unit

HOOK = Hook(
    name="syscalls",
    title="Syscalls",
    answers="Which system calls are made, which fail and how, and which stall.",
    columns=(
        Column("syscall", "Syscall", kind=Kind.KEY, width=18, help="by the architecture's table"),
        Column("calls", "Calls", Unit.COUNT, Kind.COUNTER, help="calls that have returned"),
        Column("errors", "Errors", Unit.COUNT, Kind.COUNTER, help="calls that returned an errno"),
        Column("top_errno", "Mostly", width=10, help="the most frequent errno since attach"),
        Column("total_ns", "Total", Unit.NS, Kind.COUNTER, hidden=True, help="time in the call"),
        Column("latency", "Latency", Unit.NS, Kind.HISTOGRAM, hidden=True, help="log2 of ns"),
        Column(
            "mean_ns",
            "Mean",
            Unit.NS,
            Kind.DERIVED,
            derive=mean("total_ns", "calls"),
            help="mean time in the call, last 10 s",
        ),
        Column(
            "p99_ns",
            "p99",
            Unit.NS,
            Kind.DERIVED,
            derive=quantile("latency", 0.99),
            help="99th percentile, last 10 s, within a factor of two",
        ),
    ),
    ladder=(),
    order=60,
)
