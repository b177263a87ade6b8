"""One system call by process: who makes it, how often, with which errors and latency."""

from probes.model import Column, Hook, Kind, TargetKind, mean, quantile
from probes.units import Unit

HOOK = Hook(
    name="syscall-processes",
    title="Syscall by process",
    answers="Which processes make one system call, and how it goes for each.",
    columns=(
        Column("pid", "Pid", Unit.NUMBER, Kind.KEY, width=7, help="process id (tgid)"),
        Column("comm", "Command", width=16, help="the process's name when last seen"),
        Column("calls", "Calls", Unit.COUNT, Kind.COUNTER, help="calls that have returned"),
        Column("errors", "Errors", Unit.COUNT, Kind.COUNTER, help="calls that returned an errno"),
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
    target=TargetKind.SYSCALL,
    on_demand=True,
)
