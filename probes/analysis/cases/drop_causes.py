"""Causes of drops: what several reasons and counters have in common, in words, and what to ask.

Pure data. A reason or counter that is not listed is a cause of its own, told by its name and by the
sentence of `classes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from probes.units import DASH

CONNTRACK = "CONNTRACK"
ACCEPT, REQUEST = "ACCEPT_QUEUE", "REQUEST_QUEUE"
"""Queues of a listener: of connections to be accepted, and of those that are not complete yet."""
NO_CARRIER, FLAPS = "NO_CARRIER", "FLAPS"
TIME_WAIT, ORPHANS, FRAGMENTS, NEIGHBOURS = "TIME_WAIT", "ORPHANS", "FRAGMENTS", "NEIGHBOUR_TABLE"
"""Tables of the kernel that are full, and fragments that are never complete."""
RULE_DEPTH, PLACE_DEPTH, ABSENT_DEPTH = 3, 2, 0
"""As `Claim.depth`: a rule or a program; a queue, a socket, an interface; that nobody is there."""


class DropCause(NamedTuple):
    """A reason why packets are lost, in words.

    said: a clause of few words, with {at} for the interface, {port} for "tcp:8080" or "a socket",
    {what} for "tcp:8080" or "packets". next: commands, with {at} and {number} for the port. knobs:
    kernel parameters whose values matter, with {at}. by_port: each port has a queue or a buffer of
    its own, whatever interface its packets come by. errno: of connects that are counted here, too.
    """

    said: str
    next: tuple[str, ...] = ()
    knobs: tuple[str, ...] = ()
    depth: int = PLACE_DEPTH
    by_port: bool = False
    errno: str = ""


_BUFFER = ("net.core.rmem_max", "net.core.rmem_default")
_SUM = DropCause(
    "packets with wrong checksums arrive at {at}",
    ("ethtool -k {at}", "tcpdump -vni {at} -c 5"),
)
_MD5 = DropCause(
    "{what} at {at} lacks its TCP MD5 signature, or has a wrong one", ("nstat -az TcpExtTCPMD5*",)
)
_QUEUE = DropCause("queue of {at} drops {what}", ("tc -s qdisc show dev {at}",))
_ROUTE = DropCause("no route for {what} at {at}", ("ip route", "ip rule"))
_NO_ROUTE_OUT = _ROUTE._replace(depth=ABSENT_DEPTH, errno="ENETUNREACH")
_ETHTOOL = "ethtool {at}"
_DEVICE = ("ip -s -s link show dev {at}", "ethtool -S {at}")

CAUSES: Mapping[str, DropCause] = {
    "NETFILTER_DROP": DropCause(
        "firewall drops {what} at {at}", ("nft list ruleset",), depth=RULE_DEPTH
    ),
    CONNTRACK: DropCause(
        "connection tracking is full: {what} dropped at {at}",
        ("sysctl net.netfilter.nf_conntrack_count", "conntrack -S"),
        ("net.netfilter.nf_conntrack_max",), depth=RULE_DEPTH,
    ),
    "BPF_CGROUP_EGRESS": DropCause(
        "cgroup BPF program drops {what}", ("bpftool cgroup tree",), depth=RULE_DEPTH
    ),
    "XFRM_POLICY": DropCause(
        "IPsec policy drops {what} at {at}", ("ip xfrm policy",), depth=RULE_DEPTH
    ),
    "SECURITY_HOOK": DropCause(
        "security module drops {what} at {at}", ("journalctl -k -g avc",), depth=RULE_DEPTH
    ),
    "BLACKHOLE": DropCause("blackhole route discards {what}", ("ip route",), depth=RULE_DEPTH),
    "XDP": DropCause(
        "XDP drops {what} at {at}", ("bpftool net show",), depth=RULE_DEPTH
    ),
    "TC": DropCause(
        "TC drops {what} at {at}", ("tc filter show dev {at} ingress",),
        depth=RULE_DEPTH,
    ),
    "SOCKET_FILTER": DropCause(
        "socket filter drops {what}", ("ss -bp",), depth=RULE_DEPTH, by_port=True
    ),
    "SOCKET_RCVBUFF": DropCause(
        "receive buffer of {port} is full", ("ss -mp 'sport = :{number}'",), _BUFFER,
        by_port=True,
    ),
    "SOCKET_BACKLOG": DropCause(
        "socket of {port} has no room for more", ("ss -mp 'sport = :{number}'",),
        ("net.ipv4.tcp_rmem",), by_port=True,
    ),
    "TCP_OFO_QUEUE_PRUNE": DropCause(
        "receive buffer of {port} is too small",
        ("ss -mp 'sport = :{number}'",), ("net.ipv4.tcp_rmem",), by_port=True,
    ),
    "PROTO_MEM": DropCause(
        "socket memory of {port} is used up", ("cat /proc/net/sockstat",),
        ("net.ipv4.tcp_mem", "net.ipv4.udp_mem"), by_port=True,
    ),
    ACCEPT: DropCause(
        "accept queue of {port} is full", ("ss -ltn 'sport = :{number}'",),
        ("net.core.somaxconn",), by_port=True,
    ),
    REQUEST: DropCause(
        "request queue of {port} is full (SYN)", ("ss -tn state syn-recv",),
        ("net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_syncookies"), by_port=True,
    ),
    TIME_WAIT: DropCause(
        "{what} closed at the limit of TIME_WAIT sockets",
        ("ss -Htan state time-wait | head", "cat /proc/net/sockstat"),
        ("net.ipv4.tcp_max_tw_buckets",),
    ),
    ORPHANS: DropCause(
        "connections are aborted: too many orphans, or no memory for sockets",
        ("cat /proc/net/sockstat", "ss -tanp state fin-wait-1"),
        ("net.ipv4.tcp_max_orphans", "net.ipv4.tcp_mem"), depth=RULE_DEPTH,
    ),
    FRAGMENTS: DropCause(
        "fragments of {what} at {at} are never complete", ("nstat -az 'Ip*Reasm*'",),
        ("net.ipv4.ipfrag_high_thresh", "net.ipv4.ipfrag_time"),
    ),
    NEIGHBOURS: DropCause(
        "{what} dropped at {at}: the neighbour table is full",
        ("ip -s neigh show | wc -l", "lnstat -c1 -f arp_cache"),
        ("net.ipv4.neigh.default.gc_thresh3",), depth=RULE_DEPTH, errno="ENOBUFS",
    ),
    "PACKET_SOCK_ERROR": DropCause("a capture at {at} loses packets", ("ss -0p",)),
    "QUEUE_PURGE": DropCause("queues at {at} are discarded unread"),
    "UdpInErrors": DropCause("sockets cannot take datagrams", ("nstat -az Udp*",)),
    "UdpSndbufErrors": DropCause(
        "no room to send datagrams", ("ss -umpa",), ("net.core.wmem_max",)
    ),
    "NO_SOCKET": DropCause(
        "nothing listens on {port}", ("ss -lntup 'sport = :{number}'",), depth=ABSENT_DEPTH
    ),
    "NEIGH_FAILED": DropCause(
        "next hop at {at} does not answer", ("ip neigh show dev {at}",), errno="EHOSTUNREACH"
    ),
    NO_CARRIER: DropCause(
        "{at} is down: no carrier",
        ("ip -s link show dev {at}", _ETHTOOL), depth=RULE_DEPTH,
    ),
    "QDISC_DROP": _QUEUE,
    "IP_RPFILTER": DropCause(
        "rp_filter of {at} drops {what}",
        ("ip route get ADDRESS OF A SENDER",),
        ("net.ipv4.conf.{at}.rp_filter", "net.ipv4.conf.all.rp_filter"), depth=RULE_DEPTH,
    ),
    "VXLAN_VNI_NOT_FOUND": DropCause(
        "VXLAN of an unknown VNI arrives at {at}", ("ip -d link show type vxlan",)
    ),
    "CPU_BACKLOG": DropCause(
        "CPU backlog of received packets is full", ("cat /proc/net/softnet_stat",),
        ("net.core.netdev_max_backlog",),
    ),
    "PKT_TOO_BIG": DropCause(
        "{what} too big for the MTU of {at}", ("ip link show dev {at}",)
    ),
    "rx_missed": DropCause("ring of {at} is full: it misses packets", ("ethtool -g {at}",)),
    "rx_errors": DropCause(
        "{at} receives damaged packets", _DEVICE
    ),
    "tx_errors": DropCause(
        "{at} cannot send packets: errors", _DEVICE
    ),
    FLAPS: DropCause(
        "{at} flaps: its carrier comes and goes", ("journalctl -k -g {at} -n 20", _ETHTOOL),
        depth=RULE_DEPTH,
    ),
    "rx_dropped": DropCause("{at} drops what it receives", _DEVICE[:1]),
    "tx_dropped": DropCause("{at} drops what is sent", _DEVICE[:1]),
    **dict.fromkeys(("UDP_CSUM", "TCP_CSUM", "IP_CSUM", "ICMP_CSUM"), _SUM),
    "IP_INADDRERRORS": DropCause(
        "{what} at {at} cannot be forwarded", ("ip route",), ("net.ipv4.conf.{at}.forwarding",)
    ),
    "IP_LOCAL_SOURCE": DropCause(
        "{what} with this host's own source address arrives at {at}: a loop, or forged",
        ("ip route", "tcpdump -eni {at} -c 5"),
    ),
    **dict.fromkeys(("TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE"), _MD5),
    "IP_INNOROUTES": _ROUTE,
    "IP_OUTNOROUTES": _NO_ROUTE_OUT,
}  # fmt: skip

_SAME = {
    "TCP_LISTEN_OVERFLOW": ACCEPT,
    "NEIGH_QUEUEFULL": "NEIGH_FAILED",
    "NEIGH_CREATEFAIL": NEIGHBOURS,
    "FRAG_REASM_TIMEOUT": FRAGMENTS,
    "NEIGH_DEAD": "NEIGH_FAILED",
    "FULL_RING": "tx_dropped",
}
_BEGINS = {"QDISC_": "QDISC_DROP", "FQ_": "QDISC_DROP", "CAKE_": "QDISC_DROP"}
_PLACES = {"ip_defrag": FRAGMENTS, "ip_frag_queue": FRAGMENTS, "ipv6_frag_rcv": FRAGMENTS}
"""Of packets without a reason, by the function that frees them."""
_COUNTERS = {
    "TcpExtTCPBacklogDrop": "SOCKET_BACKLOG",
    "TcpExtTCPRcvQDrop": "PROTO_MEM",
    "TcpExtTCPOFODrop": "PROTO_MEM",
    "TcpExtIPReversePathFilter": "IP_RPFILTER",
    "TcpExtTCPReqQFullDrop": REQUEST,
    "TcpExtTCPReqQFullDoCookies": REQUEST,
    "SoftnetDropped": "CPU_BACKLOG",
    "ConntrackDrop": CONNTRACK,
    "TcpInErrs": "TCP_CSUM",
    "IpOutNoRoutes": "IP_OUTNOROUTES",
    "Ip6OutNoRoutes": "IP_OUTNOROUTES",
}
_LISTEN = {"request queue full": REQUEST}
"""Causes of TcpExtListenDrops, by the row's reason."""


def cause_of(reason: str, function: str, port: int | None = None) -> str:
    """Return the cause's name, by which ids are made.

    function: or nstat's name of a counter. port: that of a socket which it is known to be.
    """
    if function == "TcpExtListenDrops":
        return _LISTEN.get(reason, ACCEPT)
    if function in _COUNTERS:
        return _COUNTERS[function]
    for udp in ("UdpLite6", "UdpLite", "Udp6", "Udp"):  # as on rungs without a tracepoint
        if function == f"{udp}InErrors":  # a socket's own drops are those of its buffer
            return "SOCKET_RCVBUFF" if port else "UdpInErrors"
        if function == f"{udp}NoPorts":
            return "NO_SOCKET"
        if function == f"{udp}SndbufErrors":
            return "UdpSndbufErrors"
    if reason in ("-", "NOT_SPECIFIED"):
        if function in _PLACES:
            return _PLACES[function]
        return "NETFILTER_DROP" if function == "nf_hook_slow" else f"at {function}"
    if function.startswith(("Tcp", "Ip", "Udp", "Icmp")):
        return function
    begins = (name for begin, name in _BEGINS.items() if reason.startswith(begin))
    return _SAME.get(reason) or next(begins, reason)


def described(cause: str) -> DropCause:
    """Return what is said of a cause."""
    return CAUSES.get(cause) or DropCause("{at} drops {what}" + f": {cause}")


class DropPlace(NamedTuple):
    """A place where packets are lost: interface, or DASH; netns: "" for our own; the port."""

    at: str = DASH
    netns: str = ""
    protocol: str = ""
    port: int | None = None

    @property
    def service(self) -> str:
        """Return "tcp:8080", or "" if there is no port that makes most of it."""
        return f"{self.protocol}:{self.port}" if self.port is not None else ""

    @property
    def named(self) -> str:
        """Return the interface, or this host; with the namespace if it is another one."""
        at = self.at.partition(" (netns ")[0] if self.at not in (DASH, "") else ""
        if self.netns:
            return f"{at} in netns {self.netns}" if at else f"netns {self.netns}"
        return at or "this host"


def said(cause: str, place: DropPlace) -> str:
    """Return the cause in one clause."""
    service = place.service
    what = described(cause)
    text = what.said.format(at=place.named, port=service or "a socket", what=service or "packets")
    if place.netns and "{at}" not in what.said:
        text += f" in netns {place.netns}"
    return text


def next_steps(cause: str, place: DropPlace) -> tuple[str, ...]:
    """Return the commands that tell more."""
    found = described(cause).next
    at = place.at.partition(" (netns ")[0]
    if place.port is None:
        found = tuple(text for text in found if "{number}" not in text)
    if at in (DASH, ""):
        found = tuple(text for text in found if "{at}" not in text)
    texts = [text.format(at=at, number=place.port) for text in found]
    if place.netns:
        return tuple(f"in netns {place.netns}: {text}" for text in texts)
    return tuple(texts)


def knobs(cause: str, place: DropPlace) -> tuple[str, ...]:
    """Return the kernel parameters that bear on it; none for another namespace."""
    if place.netns:
        return ()
    found = described(cause).knobs
    if place.at in (DASH, ""):
        found = tuple(name for name in found if "{at}" not in name)
    wanted = {"tcp": "udp_mem", "udp": "tcp_mem"}.get(place.protocol)
    return tuple(n.format(at=place.at) for n in found if not (wanted and n.endswith(wanted)))
