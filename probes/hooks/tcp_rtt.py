"""TCP round trips: every connection's RTT as the kernel estimates it, and its retransmits."""

from probes.model import Column, Hook, Kind, quantile
from probes.units import Unit

HOOK = Hook(
    name="tcp-rtt",
    title="RTT",
    answers="Which TCP connections have a bad round trip or retransmit, and whose they are.",
    columns=(
        Column("cookie", "Cookie", Unit.NUMBER, Kind.KEY, hidden=True, help="the socket's cookie"),
        Column("laddr", "Local", width=22, help="local address"),
        Column("lport", "LPort", Unit.NUMBER, width=5, help="local port"),
        Column("raddr", "Remote", width=22, help="remote address"),
        Column("rport", "RPort", Unit.NUMBER, width=5, help="remote port"),
        Column("comm", "Command", width=16, help="the process that holds the socket"),
        Column("pid", "Pid", Unit.NUMBER, width=7, help="its id"),
        Column("srtt_us", "SRTT", Unit.US, help="smoothed round trip (tcp_sock.srtt_us / 8)"),
        Column("min_us", "Min", Unit.US, help="the kernel's windowed minimum"),
        Column("last_us", "Last", Unit.US, help="the latest sample"),
        Column("rtt", "RTT", Unit.US, Kind.HISTOGRAM, hidden=True, help="log2 of us"),
        Column(
            "p50_us",
            "p50",
            Unit.US,
            Kind.DERIVED,
            derive=quantile("rtt", 0.5),
            help="median, last 10 s, within a factor of two",
        ),
        Column(
            "p99_us",
            "p99",
            Unit.US,
            Kind.DERIVED,
            derive=quantile("rtt", 0.99),
            help="99th percentile, last 10 s, within a factor of two",
        ),
        Column("samples", "Samples", Unit.COUNT, Kind.COUNTER, help="RTT samples seen"),
        Column("retransmits", "Retrans", Unit.COUNT, Kind.COUNTER, help="segments sent again"),
        Column("from", "From", width=9, help="where the number comes from: sock_ops, sock_diag..."),
    ),
    ladder=(),
    order=80,
)
