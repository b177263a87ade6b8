"""Columns as a table: a constructor for each kind, and sets that several hooks have.

    counter("bytes", "Bytes", "size of these packets", Unit.BYTES)

Each begins with name, title and help, and with the unit, where it is not the usual one. The C field
it is read from (`field`) is called like the column; None where the rung's reader gives the value.
Where it gives all of them, as in a log, `given` says so once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypedDict, Unpack

from probes.model import Column, Kind, Value
from probes.toolkit import decode
from probes.toolkit.window import Derive, mean, quantile
from probes.units import Unit


class Traits(TypedDict, total=False):
    """The other properties that a column may be given; see `Column`."""

    field: str | None
    decode: Callable[[Value | bytes], Value] | None
    width: int
    hidden: bool
    label: bool | None
    stays: bool


# -- one of each kind ------------------------------------------------------------------------


def key(
    name: str, title: str, help: str, unit: Unit = Unit.TEXT, **traits: Unpack[Traits]
) -> Column:
    """Return a column that identifies the row."""
    return _column(Kind.KEY, name, title, help, unit, traits)


def counter(
    name: str, title: str, help: str, unit: Unit = Unit.COUNT, **traits: Unpack[Traits]
) -> Column:
    """Return a column that only grows; shown as a rate as well."""
    return _column(Kind.COUNTER, name, title, help, unit, traits)


def packet_count(name: str, title: str, help: str, **traits: Unpack[Traits]) -> Column:
    """Return a counter of packets."""
    return counter(name, title, help, Unit.PACKETS, **traits)


def byte_count(name: str, title: str, help: str, **traits: Unpack[Traits]) -> Column:
    """Return a counter of bytes."""
    return counter(name, title, help, Unit.BYTES, **traits)


def link_counters() -> tuple[Column, ...]:
    """Return the counters that the kernel keeps of every interface (struct rtnl_link_stats64)."""
    return (
        packet_count("rx_packets", "RX pkt", "packets received"),
        packet_count("tx_packets", "TX pkt", "packets sent"),
        byte_count("rx_bytes", "RX", "bytes received"),
        byte_count("tx_bytes", "TX", "bytes sent"),
        packet_count("rx_dropped", "RX drop", "received, then dropped by the device or the stack"),
        packet_count("tx_dropped", "TX drop", "dropped while sending"),
        packet_count("rx_errors", "RX err", "received with errors (CRC, length, FIFO)"),
        packet_count("tx_errors", "TX err", "not sent because of an error"),
    )


def level(
    name: str, title: str, help: str, unit: Unit = Unit.TEXT, **traits: Unpack[Traits]
) -> Column:
    """Return a column with the present value."""
    return _column(Kind.LEVEL, name, title, help, unit, traits)


def histogram(name: str, title: str, help: str, unit: Unit, *, total: str = "") -> Column:
    """Return a hidden column of counters, one for each power of two.

    total: the counter with the sum of the values.
    """
    return Column(name, title, unit, Kind.HISTOGRAM, name, hidden=True, help=help, total=total)


def derived(
    name: str, title: str, help: str, unit: Unit, derive: Derive, **traits: Unpack[Traits]
) -> Column:
    """Return a column that is calculated from the others over the window."""
    return Column(name, title, unit, Kind.DERIVED, help=help, derive=derive, **traits)


def _column(kind: Kind, name: str, title: str, help: str, unit: Unit, traits: Traits) -> Column:
    own: Traits = {"field": name, **traits}
    return Column(name, title, unit, kind, help=help, **own)


def given(*columns: Column) -> tuple[Column, ...]:
    """Return the columns of a table that the rung's reader fills: none is read from a C field."""
    return tuple(replace(column, field=None) for column in columns)


# -- whose it is -----------------------------------------------------------------------------

_THEN = "the process's name at that moment"


def process(who: str, name: str = _THEN, *, label: bool | None = None) -> tuple[Column, ...]:
    """Return pid and command of the process that does something, as `who_c` names it.

    From the C fields `pid` and `comm`. who: what the process does, in words. name: the help of its
    name. label: whether the pid names the row where metrics are exported.
    """
    return (
        key("pid", "Pid", who, Unit.NUMBER, width=7, label=label),
        key("comm", "Command", name, decode=decode.comm, width=16),
    )


def logged_process(who: str) -> tuple[Column, ...]:
    """Return the same columns for a log."""
    return (
        level("pid", "Pid", who, Unit.NUMBER, width=7),
        level("comm", "Command", _THEN, width=16),
    )


def holder(who: str, *, label: bool) -> tuple[Column, ...]:
    """Return command and pid of the process that holds a socket, which the reader finds.

    who: which process, in words. label: whether its name names the row where metrics are exported.
    """
    return (
        level("comm", "Command", who, field=None, width=16, label=label),
        level("pid", "Pid", "id of that process", Unit.NUMBER, field=None, width=7, label=False),
    )


CGROUP_ID = level(
    "cgroup_id", "Cgroup id", "cgroup of the process, by which its owner is known", Unit.NUMBER,
    field="cgroup", hidden=True, label=False,
)  # fmt: skip
"""The column before `owner` where a program takes the cgroup: known of who has ended, too."""


def owner(of: str, *, label: bool | None = None) -> tuple[Column, ...]:
    """Return the columns of whose it is, which are filled as rows are read (`owner_columns`).

    of: what belongs to it, in words. label: whether they name the row where metrics are exported.
    """

    def named(name: str, title: str, help: str) -> Column:
        return level(name, title, f"{help} of {of}", field=None, width=16, label=label)

    return (
        named("container", "Container", "container, or namespace/pod/container,"),
        named("unit", "Unit", "systemd unit, with the user if it is one's own,"),
        named("netns_name", "NetNS", "network namespace"),
    )


NETNS = level(
    "netns_name", "NetNS", "network namespace that the interface is in",
    field=None, width=16, label=False,
)  # fmt: skip
"""The last column of a hook of interfaces, which is filled like those of `owner`."""
CONTAINER = level(
    "container", "Container", "container that the interface, or a veth's other end, is in",
    field=None, width=16, label=False,
)  # fmt: skip
"""The column before it, which is filled in the same way."""


def cgroup() -> tuple[Column, ...]:
    """Return the columns of a cgroup: its id (the C field `cgroup`) and its path."""
    return (
        key("cgroup_id", "Id", "cgroup id", Unit.NUMBER, field="cgroup", hidden=True),
        level("cgroup", "Cgroup", "path below the mount of cgroup v2", field=None, width=30),
    )


# -- where it is -----------------------------------------------------------------------------

INDEX = key(
    "ifindex", "Index", "interface number; unchanged by renaming", Unit.NUMBER,
    field=None, hidden=True, label=False,
)  # fmt: skip
"""The key beside an interface's name, which may belong to another interface later."""

MADE = key(
    "made", "Made", "number of earlier interfaces with this number", Unit.NUMBER,
    field=None, hidden=True, label=False,
)  # fmt: skip
"""The key that gives a new interface with an old number a row of its own (`links.Made`)."""


def interface() -> tuple[Column, ...]:
    """Return the columns of an interface: its number and its present name."""
    return (
        _ifindex("interface number"),
        level("interface", "Interface", "interface name", field=None, width=15, label=True),
    )


def target() -> tuple[Column, ...]:
    """Return the columns of the interface that the hook is attached to, as `of_interface` does."""
    return (
        _ifindex("interface number"),
        level("interface", "Interface", "the interface's name", field=None, width=15),
    )


def _ifindex(help: str) -> Column:
    return key("ifindex", "Index", help, Unit.NUMBER, field=None, width=5, label=False)


def ends() -> tuple[Column, ...]:
    """Return the addresses and ports of both ends of a connection, as `sockets_c` writes them."""
    return (
        level("laddr", "Local", "local address", decode=decode.address, width=22, label=False),
        level("lport", "LPort", "local port", Unit.NUMBER, width=5, label=False),
        level("raddr", "Remote", "remote address", decode=decode.address, width=22, label=True),
        level("rport", "RPort", "remote port", Unit.NUMBER, width=5, label=False),
    )


def port_key(name: str, title: str, help: str) -> Column:
    """Return a column for a port that identifies the row."""
    return key(name, title, help, Unit.NUMBER, width=5)


# -- programs --------------------------------------------------------------------------------

VERDICTS = ("aborted", "drop", "pass", "tx", "redirect")
"""Verdicts of XDP programs: enum xdp_action, in its order."""


def bpf_program() -> tuple[Column, ...]:
    """Return the columns of a BPF program: its id and its name."""
    return (
        key(
            "program_id", "Id", "program id, as bpftool shows it", Unit.NUMBER,
            width=6, label=False,
        ),
        level(
            "program", "Program", "program name; the kernel keeps 15 characters",
            width=16, label=True,
        ),
    )  # fmt: skip


def program_holders() -> tuple[Column, ...]:
    """Return the column of those who hold a program of others, see `foreign.program_holders`."""
    return (
        level(
            "held_by", "Held by",
            "processes that hold it (pid), by a link if any do; pins in bpffs; or nobody",
            width=20, label=False,
        ),
    )  # fmt: skip


def program_time() -> tuple[Column, ...]:
    """Return the columns of the time that a program of others takes for a run."""
    return (
        counter("run_ns", "Ran", "time spent in the program while watched", Unit.NS, hidden=True),
        counter("timed_runs", "Timed", "runs of which that is the time", hidden=True),
        derived(
            "ns_per_run", "ns/run", "mean time of a run, last 10 s", Unit.NS,
            mean("run_ns", "timed_runs"),
        ),
    )  # fmt: skip


def verdicts() -> tuple[Column, ...]:
    """Return the packets and bytes of each XDP verdict."""
    return (
        *(packet_count(v, v.capitalize(), f"packets with verdict {v}") for v in VERDICTS),
        *(
            byte_count(f"{v}_bytes", f"{v.capitalize()} B", f"size of packets with verdict {v}")
            for v in VERDICTS
        ),
    )


# -- how long it takes -----------------------------------------------------------------------


def latency(counted: str, what: str) -> tuple[Column, ...]:
    """Return the columns of a duration.

    The map's `total_ns` and `latency`, and mean and p99 of them.

    counted: the column with the number of timed events; "latency" itself where it counts fewer than
    any other. what: the time, in words.
    """
    average = mean("total_ns", counted)
    return (
        counter("total_ns", "Total", what, Unit.NS, hidden=True),
        histogram("latency", "Latency", f"{what}, log2 of ns", Unit.NS, total="total_ns"),
        derived("mean_ns", "Mean", f"mean {what}, last 10 s", Unit.NS, average),
        p99(Unit.NS, quantile("latency", 0.99, total="total_ns")),
    )


def p99(unit: Unit, derive: Derive) -> Column:
    """Return the column of the 99th percentile, by `quantile`: `p99_ns` for Unit.NS."""
    help = "99th percentile, last 10 s, within a factor of two"
    return derived(f"p99_{unit}", "p99", help, unit, derive)
