"""TCP connects: who connects where, how long it takes, and how it fails."""

from probes.model import Column, Hook, Kind, mean, quantile
from probes.units import Unit

HOOK = Hook(
    name="tcp-connect",
    title="TCP connects",
    answers="Which processes connect where, how long it takes, and how it fails.",
    columns=(
        Column("pid", "Pid", Unit.NUMBER, Kind.KEY, width=7, help="process that called connect()"),
        Column("comm", "Command", kind=Kind.KEY, width=16, help="its name at that moment"),
        Column("raddr", "Destination", kind=Kind.KEY, width=22, help="IPv4 or IPv6 address"),
        Column("rport", "Port", Unit.NUMBER, Kind.KEY, width=5, help="TCP port"),
        Column("connects", "Connects", Unit.COUNT, Kind.COUNTER, help="attempts begun"),
        Column("established", "Estab", Unit.COUNT, Kind.COUNTER, help="attempts that succeeded"),
        Column("failed", "Failed", Unit.COUNT, Kind.COUNTER, help="attempts that did not, any way"),
        Column("refused", "Refused", Unit.COUNT, Kind.COUNTER, help="ECONNREFUSED: a reset came"),
        Column(
            "unreachable", "Unreach", Unit.COUNT, Kind.COUNTER, help="EHOSTUNREACH, ENETUNREACH"
        ),
        Column(
            "timed_out", "Timeout", Unit.COUNT, Kind.COUNTER, help="ETIMEDOUT: no answer at all"
        ),
        Column("gave_up", "Gave up", Unit.COUNT, Kind.COUNTER, help="closed by the process itself"),
        Column("other", "Other", Unit.COUNT, Kind.COUNTER, help="failed with another errno"),
        Column("pending", "Pending", Unit.COUNT, help="begun and not yet decided"),
        Column("total_ns", "Total", Unit.NS, Kind.COUNTER, hidden=True, help="time to establish"),
        Column("latency", "Latency", Unit.NS, Kind.HISTOGRAM, hidden=True, help="log2 of ns"),
        Column(
            "mean_ns",
            "Mean",
            Unit.NS,
            Kind.DERIVED,
            derive=mean("total_ns", "established"),
            help="mean time to establish, last 10 s",
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
    order=70,
    log=(
        Column("pid", "Pid", Unit.NUMBER, width=7, help="process that called connect()"),
        Column("comm", "Command", width=16, help="its name at that moment"),
        Column("raddr", "Destination", width=22, help="IPv4 or IPv6 address"),
        Column("rport", "Port", Unit.NUMBER, width=5, help="TCP port"),
        Column(
            "result", "Result", width=12, help="established, refused, unreachable, timed out..."
        ),
        Column("ns", "Took", Unit.NS, help="from connect() to the result"),
    ),
)
