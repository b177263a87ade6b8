"""The demo's flood as data: its senders, the programs it meets, and what rules drop of it.

eth1 gets twice its packets. Another owner's XDP program drops what comes from networks that it
knows; the rest fills a socket's buffer, until a rule drops it.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import NamedTuple

from probes.drop_rule import PROTOCOLS, DropRule
from probes.foreign.program_holders import NOBODY
from probes.model import Value
from probes.sources.demo import programs

Values = dict[str, Value]
_RUN_NS = 180
"""Nanoseconds that a program takes for a packet."""
FLOOD = 9800
"""Packets a second at its height, on eth1, to UDP port 514."""
BLOCKED = 0.6
"""Share of the flood that the XDP program drops."""
SOCKET = 1250
"""Packets a second for which the socket has no space."""


class Sender(NamedTuple):
    """Senders at TC ingress: rate in packets a second.

    Flood: the part of it only in the incident.
    """

    interface: str
    saddr: str
    protocol: str
    dport: int | None
    rate: float
    size: int = 640
    flood: bool = False


SENDERS = (
    Sender("eth1", "203.0.113.66", "udp", 514, 2610, 1320, True),
    Sender("eth1", "203.0.113.201", "udp", 514, 890, 1320, True),
    Sender("eth1", "2001:db8:bad::7", "udp", 514, 420, 1340, True),
    Sender("eth1", "10.0.3.40", "udp", 514, 1600, 410),
    Sender("eth1", "10.0.3.41", "udp", 514, 1400, 410),
    Sender("eth1", "10.0.1.21", "tcp", 9092, 1500, 1440),
    Sender("eth1", "10.0.1.22", "tcp", 9092, 1300, 1440),
    Sender("eth1", "10.0.1.23", "tcp", 9092, 1200, 1440),
    Sender("eth1", "10.0.1.24", "tcp", 9092, 1100, 1440),
    Sender("eth1", "2001:db8::1:17", "tcp", 9200, 640, 1180),
    Sender("eth1", "10.0.4.2", "tcp", 8300, 420, 210),
    Sender("eth1", "2001:db8::1:18", "tcp", 9200, 400, 1180),
    Sender("eth1", "10.0.2.11", "tcp", 9100, 237, 120),
    Sender("eth1", "10.0.0.1", "icmp", None, 2, 84),
    Sender("eth1", "52:54:00:12:34:01", "arp", None, 0.6, 60),
    Sender("eth0", "198.51.100.7", "tcp", 22, 31, 96),
    Sender("eth0", "10.0.1.21", "tcp", 443, 2400, 940),
    Sender("eth0", "10.0.0.5", "tcp", 40149, 1200, 1200),
    Sender("eth0", "93.184.216.34", "tcp", 40297, 420, 1400),
    Sender("eth0", "2a04:4e42:200::644", "tcp", 40778, 140, 1400),
)


ANSWERED, ANSWER = 61, ("eth1", DropRule(ip_network("203.0.113.66/32"), ttl=20.0))
"""The second in which a rule is set against the worst of them, unless there is one already."""


class Foreign(NamedTuple):
    """Another owner's program. mode: of XDP. direction, position, at: of TC.

    Drop: share it drops.
    """

    ifindex: int
    interface: str
    program: str
    id: int
    mode: str = ""
    by: str = "link"
    direction: str = ""
    position: int = 1
    at: str = "tcx"
    seen: str = "fexit"
    why: str = ""
    drop: float = 0.0

    @property
    def title(self) -> str:
        return f"{self.program}#{self.id}"


_NO_BTF = "it was loaded without BTF, so nothing can be attached to it: its runs are counted"
XDP = (
    Foreign(3, "eth1", "xdp_filter", 412, "native", "link"),
    Foreign(6, "veth90b7de", "count_all", 388, "generic", "netlink", seen="runs", why=_NO_BTF),
)
TC = (
    Foreign(2, "eth0", "cil_from_netdev", 205, direction="ingress", drop=0.0004),
    Foreign(2, "eth0", "cil_to_netdev", 206, direction="egress"),
    Foreign(3, "eth1", "tag_tenant", 431, direction="ingress"),
    Foreign(
        3, "eth1", "police_syslog", 433, direction="ingress", position=2,
        at="prio 1 handle 0x1", seen="runs", why=_NO_BTF,
    ),
    Foreign(5, "veth3f2a1c", "cil_from_contai", 208, direction="ingress", drop=0.002),
)  # fmt: skip


def xdp_on(interface: str) -> Foreign | None:
    """Return another owner's XDP program there."""
    return next((f for f in XDP if f.interface == interface), None)


def matches(rule: DropRule, sender: Sender) -> bool:
    """Return whether the rule drops this sender's packets."""
    if rule.protocol is not None and PROTOCOLS.get(sender.protocol) != rule.protocol:
        return False
    if rule.port is not None and sender.dport != rule.port:
        return False
    if rule.source is None:
        return True
    try:
        return ip_address(sender.saddr) in rule.source
    except ValueError:  # a MAC address
        return False


def xdp_values(f: Foreign, packets: float, dropped: float, size: int) -> Values:
    """Return a row of the hook xdp-programs; dropped: of the packets."""
    known: Values = {
        "ifindex": f.ifindex, "interface": f.interface, "program_id": f.id, "program": f.program,
        "mode": f.mode, "by": f.by, "seen": f.seen, "why": f.why, "parts": None, "to_cpus": 0,
        "held_by": programs.held_by(f.id) or NOBODY,
        "packets": int(packets), "bytes": int(packets) * size if f.seen == "fexit" else None,
        "run_ns": int(packets) * _RUN_NS, "timed_runs": int(packets),
    }  # fmt: skip
    counted = {"drop": int(dropped), "pass": int(packets) - int(dropped)}
    for verdict in ("aborted", "drop", "pass", "tx", "redirect"):
        n = counted.get(verdict, 0) if f.seen == "fexit" else None
        known |= {verdict: n, f"{verdict}_bytes": None if n is None else n * size}
    return known


def tc_values(f: Foreign, packets: float, size: int) -> Values:
    """Return a row of the hook tc-programs."""
    known: Values = {
        "ifindex": f.ifindex, "interface": f.interface, "direction": f.direction,
        "position": f.position, "program_id": f.id, "program": f.program, "at": f.at,
        "held_by": programs.held_by(f.id) or NOBODY,
        "seen": f.seen, "why": f.why, "packets": int(packets),
        "bytes": int(packets) * size if f.seen == "fexit" else None, "ended": None,
        "run_ns": int(packets) * _RUN_NS, "timed_runs": int(packets),
    }  # fmt: skip
    dropped = int(packets * f.drop)
    counted = {"pass": int(packets) - dropped, "drop": dropped, "redirect": 0, "other": 0}
    counted |= {"drop_skbs": dropped, "redirect_skbs": 0}
    return known | {v: n if f.seen == "fexit" else None for v, n in counted.items()}
