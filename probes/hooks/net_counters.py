"""Kernel counters of networking, with how long they have counted: what is usual since boot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import CLOCK_MONOTONIC, clock_gettime_ns

from probes.hooks.drops.counters import ALL, of_other_files
from probes.kernel.net_counters import NetCounters
from probes.toolkit import Hook, Opening, Reading, Rung, Unit, counter, given, key, level

MORE = (
    "Ip6ReasmOKs",
    "IpReasmOKs",
    "TcpActiveOpens",
    "TcpAttemptFails",
    "TcpEstabResets",
    "TcpInSegs",
    "TcpOutSegs",
    "TcpRetransSegs",
    "UdpInDatagrams",
    "UdpOutDatagrams",
)
"""Counters beside those of losses: what these are a share of, and TCP's own troubles."""
BOOT, NOT_BEFORE = "boot", "boot at the earliest"
_FIRST_ONLY = Path("/proc/sys/net/ipv4/tcp_mem")
"""A kernel parameter that only the first network namespace has, as it is the whole host's."""


def _open(_: Opening) -> Callable[[], Reading]:
    files, since = NetCounters({*ALL, *MORE}), _since()

    def read() -> Reading:
        counted = files.read().numbers() | of_other_files()
        age = clock_gettime_ns(CLOCK_MONOTONIC)
        return Reading([(name, n, age, since) for name, n in counted.items()])

    return read


def _since() -> str:
    """Return since when this network namespace counts, as far as that is known."""
    return BOOT if _FIRST_ONLY.exists() else NOT_BEFORE


HOOK = Hook(
    name="net-counters",
    title="Kernel counters",
    question="What the kernel's network counters have counted since boot, and count now.",
    columns=given(
        key("counter", "Counter", "as nstat names it", width=28),
        counter("events", "Count", "since this network namespace was made, or since boot"),
        level("age", "Age", "time since boot, without suspend: no counter is older", Unit.NS),
        level("since", "Since", f"since when it counts: {BOOT}, or {NOT_BEFORE}", width=20),
    ),
    ladder=(Rung("procfs", "nothing", _open, from_zero=False),),
    order=74,
    reads_with=(),
)
