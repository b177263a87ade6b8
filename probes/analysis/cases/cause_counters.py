"""Kernel counters of the causes of drops, by which their usual rate is known since boot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from probes.analysis import since_boot
from probes.analysis.cases.claim import Claim, Evidence
from probes.analysis.cases.drop_causes import (
    ACCEPT,
    CONNTRACK,
    FRAGMENTS,
    NEIGHBOURS,
    NO_CARRIER,
    ORPHANS,
    REQUEST,
    TIME_WAIT,
    DropPlace,
)
from probes.analysis.facts import Facts
from probes.analysis.many import rows_of
from probes.analysis.since_boot import Average
from probes.units import DASH

COUNTERS: Mapping[str, tuple[str, ...]] = {
    ACCEPT: ("TcpExtListenOverflows",),
    REQUEST: ("TcpExtTCPReqQFullDrop", "TcpExtTCPReqQFullDoCookies"),
    "SOCKET_RCVBUFF": ("UdpRcvbufErrors", "Udp6RcvbufErrors"),
    "SOCKET_BACKLOG": ("TcpExtTCPBacklogDrop",),
    "TCP_OFO_QUEUE_PRUNE": ("TcpExtOfoPruned",),
    "PROTO_MEM": (
        "TcpExtTCPRcvQDrop", "TcpExtTCPOFODrop", "UdpMemErrors", "Udp6MemErrors",
    ),
    "NO_SOCKET": ("UdpNoPorts", "Udp6NoPorts"),
    "UdpInErrors": ("UdpInErrors", "Udp6InErrors"),
    "UdpSndbufErrors": ("UdpSndbufErrors", "Udp6SndbufErrors"),
    "TCP_CSUM": ("TcpInErrs",),
    "IP_RPFILTER": ("TcpExtIPReversePathFilter",),
    "CPU_BACKLOG": ("SoftnetDropped",),
    CONNTRACK: ("ConntrackDrop",),
    TIME_WAIT: ("TcpExtTCPTimeWaitOverflow",),
    ORPHANS: ("TcpExtTCPAbortOnMemory",),
    FRAGMENTS: ("IpReasmFails", "Ip6ReasmFails"),
    NEIGHBOURS: ("NeighTableFulls",),
    "PKT_TOO_BIG": ("IpInTooBigErrors", "Ip6InTooBigErrors"),
    "IP_INNOROUTES": ("IpInNoRoutes", "IpExtInNoRoutes", "Ip6InNoRoutes"),
    "IP_OUTNOROUTES": ("IpOutNoRoutes", "Ip6OutNoRoutes"),
}  # fmt: skip
"""Counters of this host's own namespace by cause; others go by the cause's own name."""
LINKS = {
    "rx_dropped": "rx_dropped",
    "rx_missed": "rx_missed",
    "rx_errors": "rx_errors",
    "tx_errors": "tx_errors",
    "tx_dropped": "tx_dropped",
    NO_CARRIER: "tx_dropped",
}
"""Counters of the interface itself."""
_QUEUE = "QDISC_DROP"


def since_boot_of(facts: Facts, cause: str, place: DropPlace) -> Average | None:
    """Return what is known of a cause since boot; None: no counter has it, or not for long.

    Counters are of all ports, so the average of one port is no greater. Those of an interface and
    of its queue count since it was made.
    """
    if place.netns:
        return None
    if cause in LINKS and place.at != DASH:
        return _of_interface(facts, "interfaces", place.at, LINKS[cause])
    if cause == _QUEUE:
        return _of_interface(facts, "qdiscs", place.at, "dropped")
    if cause == "NO_SOCKET" and place.protocol == "tcp":
        return None  # answered by a RST, and in no counter
    return since_boot.of_counters(facts, COUNTERS.get(cause, (cause,)))


def is_ordinary(boot: Average | None, rate: float) -> bool:
    """Return whether a rate is as since boot, of one port or of all."""
    return boot is not None and max(rate, boot.now) <= since_boot.TIMES * boot.per_s


def together_of(cause: str, place: DropPlace) -> str:
    """Return of what else a cause's counters are, beside what is lost there: "on all ports"."""
    if (cause in LINKS or cause == _QUEUE) and place.at != DASH:
        return ""
    if place.port is not None:
        return "on all ports"
    return "at all interfaces" if place.at != DASH else ""


def with_usual(
    claim: Claim, known: float | None, boot: Average | None, together: str = ""
) -> Claim:
    """Return the claim with what is usual: by its history, else the average since boot.

    An average that is "at least" so much is said, and is no number to compare with. together: of
    what else the counters are; what is usual of this alone is then no more than that.
    """
    if known is not None or boot is None:
        return replace(claim, usual=known)
    said = Evidence(since_boot.COUNTERS, f"usual: {boot.text(together)}", boot.per_s)
    known = None if boot.least else boot.per_s
    return replace(
        claim,
        usual=known,
        since_boot=not boot.least,
        usual_together=bool(together),
        evidence=(*claim.evidence, said),
    )


def _of_interface(facts: Facts, hook: str, name: str, column: str) -> Average | None:
    keys = [
        row.key
        for row in rows_of(facts, hook)
        if row.stored["interface"] == name and row.stored.get("parent", "root") == "root"
    ]
    return since_boot.of_rows(facts, hook, keys, (column,)) if keys else None
