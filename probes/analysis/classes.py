"""Classes of drops: one class and one sentence for each reason, and for places that tell more.

`lost` is harm and refusal: packets that somebody waited for. Packets that were received and have
served their purpose are ordinary. Pure data and one function: a class follows from reason and
place, so it is not stored, and recordings of any age have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from probes.analysis.drop_stages import function_of
from probes.units import DASH


class DropClass(StrEnum):
    """The meaning of a freed packet."""

    HARM = "harm"
    """Meant to arrive, and did not. The default where nothing is known."""
    REFUSAL = "refusal"
    """Turned away on purpose: by a rule, a program, or for lack of a listener."""
    ORDINARY = "ordinary"
    """Served its purpose, or had none: nobody waits for it."""


class Meaning(NamedTuple):
    """A class, and the reason in one sentence."""

    drop_class: DropClass
    sentence: str


def _all(drop_class: DropClass, sentences: Mapping[str, str]) -> dict[str, Meaning]:
    return {name: Meaning(drop_class, sentence) for name, sentence in sentences.items()}


REASONS: Mapping[str, Meaning] = {
    **_all(
        DropClass.HARM,
        {
            "NOT_SPECIFIED": "The kernel gives no reason; the place may tell more.",
            "SOCKET_RCVBUFF": "The receive buffer of the socket was full.",
            "SOCKET_BACKLOG": "Too many packets waited for a socket that was in use.",
            "PROTO_MEM": "The memory limit of all sockets of this protocol was reached.",
            "NOMEM": "The kernel was out of memory.",
            "PFMEMALLOC": "Memory was so short that only packets that free memory were accepted.",
            "PKT_TOO_SMALL": "The packet is shorter than its headers say.",
            "PKT_TOO_BIG": "The packet is larger than the MTU or the receiver allows.",
            "HDR_TRUNC": "A header could not be read from the packet.",
            "TCP_CSUM": "The TCP checksum is wrong.",
            "UDP_CSUM": "The UDP checksum is wrong.",
            "ICMP_CSUM": "The ICMP checksum is wrong.",
            "IP_CSUM": "The checksum of the IPv4 header is wrong.",
            "SKB_CSUM": "A checksum could not be computed.",
            "IP_INHDR": "The IP header is malformed.",
            "INVALID_PROTO": "The packet breaks its protocol's standard.",
            "IPV6_BAD_EXTHDR": "An IPv6 extension header is malformed.",
            "IPV6_TOO_MANY_EXTHDRS": "It has more IPv6 extension headers than the kernel reads.",
            "IPV6_NDISC_FRAG": "Neighbour discovery came in fragments, which is not allowed.",
            "IPV6_NDISC_HOP_LIMIT": "Neighbour discovery came from beyond the link.",
            "IPV6_NDISC_BAD_CODE": "Neighbour discovery has an invalid ICMPv6 code.",
            "IPV6_NDISC_BAD_OPTIONS": "Neighbour discovery has malformed options.",
            "IP_INADDRERRORS": "The destination host cannot be reached.",
            "IP_INNOROUTES": "There is no route for an incoming packet.",
            "IP_OUTNOROUTES": "There is no route for an outgoing packet.",
            "NEIGH_CREATEFAIL": "No entry could be made for the next hop.",
            "NEIGH_FAILED": "The next hop does not answer.",
            "NEIGH_QUEUEFULL": "Too many packets waited for the next hop's link address.",
            "NEIGH_DEAD": "The next hop's entry was being removed.",
            "NEIGH_HH_FILLFAIL": "The link header could not be written.",
            "FRAG_REASM_TIMEOUT": "The other fragments did not come in time.",
            "FRAG_TOO_FAR": "The fragments of this sender are too far out of order.",
            "TCP_FLAGS": "The TCP flags make no sense here.",
            "TCP_ABORT_ON_DATA": "Data arrived for a connection that its process had closed.",
            "TCP_ZEROWINDOW": "Data arrived although the receive window was closed.",
            "TCP_OVERWINDOW": "Data beyond the receive window arrived.",
            "TCP_RFC7323_PAWS": "The timestamp is older than the last one of this connection.",
            "TCP_RFC7323_TW_PAWS": (
                "A new connection's timestamp is older than that of the previous one."
            ),
            "TCP_RFC7323_TSECR": "The echoed timestamp was never sent.",
            "TCP_INVALID_SEQUENCE": "The sequence number is outside the window.",
            "TCP_INVALID_END_SEQUENCE": "The segment extends beyond the window.",
            "TCP_INVALID_ACK_SEQUENCE": "It acknowledges data that this connection never sent.",
            "TCP_ACK_UNSENT_DATA": "It acknowledges data that were not sent yet.",
            "TCP_INVALID_SYN": "A SYN arrived in the middle of a connection.",
            "TCP_FASTOPEN": "A TCP Fast Open connection could not accept the segment.",
            "TCP_LISTEN_OVERFLOW": "The queue of connections to be accepted was full.",
            "TCP_OFO_QUEUE_PRUNE": "Out-of-order data were discarded for lack of buffer.",
            "QDISC_DROP": "The queueing discipline could not accept the packet.",
            "QDISC_BURST_DROP": "Too many waited to be queued (net.core.qdisc_max_burst).",
            "QDISC_OVERLIMIT": "The queue was full.",
            "QDISC_CONGESTED": "The queue dropped it early, to signal congestion.",
            "QDISC_SFQ_MAXFLOWS": "The sfq queue has reached its limit of flows.",
            "QDISC_SFQ_MAXDEPTH": "The flow's share of the sfq queue was full.",
            "CAKE_FLOOD": "CAKE's flood protection dropped it.",
            "FQ_BAND_LIMIT": "The band of the fq queue was full.",
            "FQ_HORIZON_LIMIT": "Its send time is too far in the future.",
            "FQ_FLOW_LIMIT": "The flow's share of the fq queue was full.",
            "DUALPI2_STEP_DROP": "DualPI2 dropped it, to signal congestion.",
            "CPU_BACKLOG": "The CPU's backlog was full (net.core.netdev_max_backlog).",
            "MACVLAN_BROADCAST_BACKLOG": "The macvlan's queue of broadcasts was full.",
            "IPVLAN_MULTICAST_BACKLOG": "The ipvlan's queue of multicasts was full.",
            "SKB_GSO_SEG": "A large packet could not be split into segments.",
            "SKB_BAD_GSO": "A large packet has an invalid description of its segments.",
            "SKB_UCOPY_FAULT": "The data could not be copied from the process.",
            "DEV_HDR": "The driver's own header is invalid.",
            "DEV_READY": "The device was down or not ready.",
            "FULL_RING": "The device's ring was full.",
            "NO_TX_TARGET": "There is no device to send it through.",
            "RECURSION_LIMIT": "Devices forward to each other in a loop.",
            "TC_COOKIE_ERROR": "A TC extension failed.",
            "TC_CHAIN_NOTFOUND": "The TC chain to continue with does not exist.",
            "TC_RECLASSIFY_LOOP": "TC reclassified it too many times.",
            "PACKET_SOCK_ERROR": "A packet socket (a capture) had no room for its copy.",
            "VXLAN_INVALID_HDR": "The VXLAN header is invalid.",
            "VXLAN_VNI_NOT_FOUND": "No device has this VXLAN network identifier.",
            "IP_TUNNEL_ECN": "The inner and outer ECN marks of a tunnel contradict each other.",
            "TUNNEL_TXINFO": "A tunnel had no destination for it.",
            "CAN_RX_INVALID_FRAME": "The CAN frame is malformed.",
            "CANFD_RX_INVALID_FRAME": "The CAN FD frame is malformed.",
            "CANXL_RX_INVALID_FRAME": "The CAN XL frame is malformed.",
            "OVS_DROP_ACTION_ERROR": "An Open vSwitch action failed.",
            "OVS_DROP_EXPLICIT_WITH_ERROR": "An Open vSwitch rule reports an error.",
            "OVS_DROP_RECURSION_LIMIT": "Open vSwitch's actions nest too deeply.",
            "OVS_DROP_DEFERRED_LIMIT": "Too many Open vSwitch actions were deferred.",
            "OVS_DROP_FRAG_L2_TOO_LONG": "The link header is too long to fragment.",
            "OVS_DROP_FRAG_INVALID_PROTO": "Open vSwitch cannot fragment this protocol.",
            "OVS_DROP_CONNTRACK": "Open vSwitch's connection tracking failed.",
            "rx_dropped": "The link counts it as dropped on receipt.",
            "tx_dropped": "The link counts it as dropped when sending.",
        },
    ),
    **_all(
        DropClass.REFUSAL,
        {
            "NO_SOCKET": "Nothing listens on the port.",
            "UdpNoPorts": "Nothing listens on the UDP port.",
            "Udp6NoPorts": "Nothing listens on the UDP port.",
            "UdpLiteNoPorts": "Nothing listens on the UDP-Lite port.",
            "IpInUnknownProtos": "Nothing here handles this IP protocol.",
            "Ip6InUnknownProtos": "Nothing here handles this IP protocol.",
            "TcpExtIPReversePathFilter": "The reply would leave by another interface (rp_filter).",
            "TcpExtTCPMinTTLDrop": "It came from further away than the socket allows (IP_MINTTL).",
            "SOCKET_FILTER": "The socket's own filter rejected it.",
            "NETFILTER_DROP": "A netfilter rule dropped it.",
            "XFRM_POLICY": "An IPsec policy does not allow it.",
            "SECURITY_HOOK": "A security module did not allow it.",
            "BPF_CGROUP_EGRESS": "A cgroup's BPF program did not let it out.",
            "XDP": "An XDP program dropped it.",
            "TC_INGRESS": "A TC program or filter dropped it on the way in.",
            "TC_EGRESS": "A TC program or filter dropped it on the way out.",
            "TAP_FILTER": "The filter of a tun or tap device dropped it.",
            "TAP_TXFILTER": "The address filter of a tap device dropped it.",
            "IP_RPFILTER": "The reply would leave by another interface (rp_filter).",
            "IP_NOPROTO": "Nothing here handles this IP protocol.",
            "UNHANDLED_PROTO": "Nothing here handles this kind of frame.",
            "IPV6DISABLED": "IPv6 is disabled on the interface.",
            "UNICAST_IN_L2_MULTICAST": "A unicast packet came in a multicast frame.",
            "IP_LOCAL_SOURCE": "It claims to come from an address of this host.",
            "IP_INVALID_SOURCE": "The source address is not valid.",
            "IP_LOCALNET": "A loopback address arrived from outside.",
            "IP_INVALID_DEST": "The destination address is not valid.",
            "BLACKHOLE": "The route says to drop it.",
            "TCP_MINTTL": "It came from further away than the socket allows (IP_MINTTL).",
            "TCP_AUTH_HDR": "Its TCP-MD5 or TCP-AO option is invalid or present twice.",
            "TCP_MD5NOTFOUND": "The connection requires an MD5 signature, and it has none.",
            "TCP_MD5UNEXPECTED": "It has an MD5 signature that the connection does not expect.",
            "TCP_MD5FAILURE": "Its MD5 signature is wrong.",
            "TCP_AONOTFOUND": "The connection requires a TCP-AO signature, and it has none.",
            "TCP_AOUNEXPECTED": "It has a TCP-AO signature that the connection does not expect.",
            "TCP_AOKEYNOTFOUND": "Its TCP-AO key is not known.",
            "TCP_AOFAILURE": "Its TCP-AO signature is wrong.",
            "PSP_INPUT": "It lacks the PSP encryption that the connection requires.",
            "PSP_OUTPUT": "It could not be sent as PSP requires.",
            "MAC_INVALID_SOURCE": "The source link address is not valid.",
            "VXLAN_ENTRY_EXISTS": (
                "VXLAN knows the sender elsewhere and may not learn its new place."
            ),
            "LOCAL_MAC": "It claims to come from this interface's own link address.",
            "ARP_PVLAN_DISABLE": "Proxy ARP for private VLANs is disabled.",
            "MAC_IEEE_MAC_CONTROL": "Frames to this reserved link address are not forwarded.",
            "BRIDGE_INGRESS_STP_STATE": "Spanning tree does not allow this port to forward.",
            "OVS_DROP_LAST_ACTION": "No Open vSwitch rule forwards it.",
            "OVS_DROP_EXPLICIT": "An Open vSwitch rule dropped it.",
            "OVS_DROP_METER": "An Open vSwitch meter's limit was reached.",
            "OVS_DROP_IP_TTL": "Its TTL expired in Open vSwitch.",
        },
    ),
    **_all(
        DropClass.ORDINARY,
        {
            "SOCKET_CLOSE": "The socket was closed; nobody reads what was queued there.",
            "UNIX_DISCONNECT": (
                "The socket was connected to another peer; earlier data no longer count."
            ),
            "UNIX_SKIP_OOB": "The reader skipped urgent data.",
            "OTHERHOST": (
                "The frame is for another host and was seen only because the interface is "
                "promiscuous."
            ),
            "IPV6_NDISC_NS_OTHERHOST": "The neighbour solicitation asks for another host.",
            "DUP_FRAG": "The fragment was received before.",
            "TCP_OLD_DATA": "All of its data were received before.",
            "TCP_OLD_SEQUENCE": "All of it was received before: a duplicate, or a keepalive probe.",
            "TCP_OFOMERGE": "Its data were already queued as out of order.",
            "TCP_OFO_DROP": "Its data has arrived in order since.",
            "TCP_OLD_ACK": "A later acknowledgement came before it.",
            "TCP_TOO_OLD_ACK": "Much later acknowledgements came before it.",
            "TCP_RFC7323_PAWS_ACK": "An old acknowledgement, recognised by its timestamp.",
            "TCP_RESET": "A RST that had nothing to reset.",
            "TCP_CLOSE": "The connection had already ended.",
            "TcpExtTCPDeferAcceptDrop": "An ACK without data, where the listener waits for data.",
            "RX_DROP_U_DUP": "The wireless frame was received before.",
        },
    ),
}
"""Meaning by the reason's name.

From the kernel's own descriptions in include/net/dropreason-core.h and the subsystems' headers. A
reason that is not listed is harm.
"""

PURGE = "QUEUE_PURGE"
"""A whole queue is freed: the place tells whose."""
_SILENT = frozenset({"-", "NOT_SPECIFIED", PURGE})
"""Reasons that leave the meaning to the place."""
_PURGED = Meaning(
    DropClass.ORDINARY, "The socket was closed; what was in its queue has served its purpose."
)
_LATE = Meaning(DropClass.ORDINARY, "A late segment of a connection that was closed properly.")
_MEMBERSHIP = Meaning(DropClass.ORDINARY, "A multicast membership message that was processed.")
_NO_MEMBER = Meaning(DropClass.ORDINARY, "Multicast for a group that nobody here has joined.")
_TO_ALL = Meaning(DropClass.ORDINARY, "A broadcast or multicast that nobody here listens for.")
_NOBODY = Meaning(DropClass.REFUSAL, "Nothing listens on the port, or the segment came too late.")

PLACES: Mapping[str, Meaning] = {
    **dict.fromkeys(
        (
            "sk_stream_kill_queues",
            "inet_csk_destroy_sock",
            "inet_sock_destruct",
            "udp_destruct_common",
            "udp_destruct_sock",
            "udpv6_destruct_sock",
            "udplite_sk_destruct",
            "packet_release",
            "packet_sock_destruct",
            "raw_destroy",
            "unix_release_sock",
            "unix_sock_destructor",
            "netlink_sock_destruct",
            "netlink_release",
            "vsock_sk_destruct",
            "mptcp_destroy_common",
            "sctp_destruct_sock",
            "tun_chr_close",
        ),
        _PURGED,
    ),
    **dict.fromkeys(
        ("mld_query_work", "mld_report_work", "__mld_query_work", "__mld_report_work"), _MEMBERSHIP
    ),
    **dict.fromkeys(("__udp4_lib_mcast_deliver", "__udp6_lib_mcast_deliver"), _TO_ALL),
    "ip6_mc_input": _NO_MEMBER,
    "skb_release_data": Meaning(
        DropClass.ORDINARY, "A part of a packet that GRO had joined, which was freed as one."
    ),
    "dst_discard_out": Meaning(
        DropClass.HARM,
        ("It could not be sent: its device is gone, or IPsec has no key (SA) for it."),
    ),
    "tcp_rcv_state_process": Meaning(
        DropClass.ORDINARY, "It had no data, and the connection was closing: it was processed."
    ),
}
"""Meaning by function, where the reason is silent."""
_WITHOUT_REASON = {
    "tcp_v4_rcv": _NOBODY,
    "tcp_v6_rcv": _NOBODY,
    "__udp4_lib_rcv": _NOBODY,
    "__udp6_lib_rcv": _NOBODY,
    "__netif_receive_skb_core": REASONS["UNHANDLED_PROTO"],
    "nf_hook_slow": REASONS["NETFILTER_DROP"],
}
"""Functions on kernels that give no reasons (before 5.17): what is freed there nearly always."""
_WITH_REASONS = {
    "tcp_v4_rcv": _LATE,
    "tcp_v6_rcv": _LATE,
    "__udp4_lib_rcv": _TO_ALL,
    "__udp6_lib_rcv": _TO_ALL,
}
"""Functions on kernels that do: a packet without a reason came to TIME_WAIT, or is to all."""
_TO_ONE = {"__udp4_lib_rcv": REASONS["XFRM_POLICY"], "__udp6_lib_rcv": REASONS["XFRM_POLICY"]}
"""The same for packets that are known not to be to all: no listener, or not allowed in."""
_UNKNOWN = Meaning(DropClass.HARM, "This reason is not known: it counts as lost.")
_QUEUE = Meaning(DropClass.HARM, "A queue was freed with everything in it.")
_ECHO_REPLY = Meaning(
    DropClass.ORDINARY, "An echo reply: raw sockets, as used by ping, already have a copy."
)
_AT = {("NO_SOCKET", "ping_rcv"): _ECHO_REPLY, ("-", "ping_rcv"): _ECHO_REPLY}
_AT |= {("NO_SOCKET", place): _ECHO_REPLY for place in ("icmp_rcv", "icmpv6_rcv")}  # before 6.2
"""Meaning by reason and function, where the reason means something else there."""
_LATE_RST = Meaning(DropClass.ORDINARY, "A RST for a connection that has already ended.")

CLOSED, RST, GROUP, SYN = "closed", "rst", "group", "syn"
"""Traits of a packet: its socket had been closed; it is a TCP segment with RST; it is to a group.

GROUP is a multicast group, or a broadcast; SYN asks for a connection (given with TIME_WAIT only).
"""
TIME_WAIT = "TCP_RFC7323_TW_PAWS"
"""The reason of an old segment, or of a new SYN, that comes to a connection in TIME_WAIT."""
_ROUTING = ("ip_rcv_finish_core", "ip_rcv_finish", "ip_mc_input", "ip_route_input")
"""Prefixes of functions that free packets addressed to nobody here."""
_ANY_QUEUE = "skb_queue_purge"
"""Prefixes of functions that free queues for any caller: the socket tells more."""


_COUNTED: Mapping[str, str] = {
    **dict.fromkeys(("IpOutNoRoutes", "Ip6OutNoRoutes"), "IP_OUTNOROUTES"),
    **dict.fromkeys(("IpInNoRoutes", "Ip6InNoRoutes", "IpExtInNoRoutes"), "IP_INNOROUTES"),
    **dict.fromkeys(("IpInHdrErrors", "Ip6InHdrErrors"), "IP_INHDR"),
    **dict.fromkeys(("IpInTooBigErrors", "Ip6InTooBigErrors"), "PKT_TOO_BIG"),
    **dict.fromkeys(("IpInAddrErrors", "Ip6InAddrErrors"), "IP_INADDRERRORS"),
    **dict.fromkeys(("IpInUnknownProtos", "Ip6InUnknownProtos"), "IP_NOPROTO"),
    **dict.fromkeys(("IpInTruncatedPkts", "Ip6InTruncatedPkts"), "PKT_TOO_SMALL"),
    **dict.fromkeys(("UdpRcvbufErrors", "Udp6RcvbufErrors"), "SOCKET_RCVBUFF"),
    **dict.fromkeys(("UdpMemErrors", "Udp6MemErrors", "TcpExtTCPRcvQDrop"), "PROTO_MEM"),
    "TcpInErrs": "TCP_CSUM",
    "TcpExtTCPZeroWindowDrop": "TCP_ZEROWINDOW",
    "SoftnetDropped": "CPU_BACKLOG",
}
"""Counters of a reason's packets, which mean the same."""
COUNTERS: Mapping[str, Meaning] = {
    **{counter: REASONS[reason] for counter, reason in _COUNTED.items()},
    **dict.fromkeys(("UdpNoPorts", "Udp6NoPorts", "UdpLiteNoPorts", "UdpLite6NoPorts"), _NOBODY),
    **_all(
        DropClass.HARM,
        {
            "TcpExtListenDrops": "A listener had no room for the connection.",
            "listener": "Connections wait that nobody has accepted yet.",
            "TcpExtListenOverflows": "The queue of connections to be accepted was full.",
            "TcpExtTCPReqQFullDrop": "The queue of connection requests was full.",
            "TcpExtTCPBacklogDrop": "Too many packets waited for a socket that was in use.",
            "ConntrackDrop": "The connection tracking table was full (nf_conntrack_max).",
            "UdpInErrors": "The socket's buffer was full, or the checksum wrong.",
            "Udp6InErrors": "The socket's buffer was full, or the checksum wrong.",
            "UdpSndbufErrors": "There was no room to send the datagram.",
            "Udp6SndbufErrors": "There was no room to send the datagram.",
        },
    ),
    **_all(
        DropClass.REFUSAL,
        {
            "TcpExtIPReversePathFilter": "It came from an address that no reply would be sent to.",
            "TcpExtTCPMinTTLDrop": "It came from further away than the socket allows.",
            "TcpExtSyncookiesFailed": "It completes no connection that was requested.",
        },
    ),
    **_all(
        DropClass.ORDINARY,
        {
            "TcpExtTCPDeferAcceptDrop": "The socket waits for data, which will be sent again.",
            "TcpExtOutOfWindowIcmps": "An ICMP error about data acknowledged long ago.",
            "TcpExtSyncookiesSent": "The request was answered with a SYN cookie.",
            "TcpExtSyncookiesRecv": "A SYN cookie came back: the connection is established.",
            "TcpExtTCPReqQFullDoCookies": "The request was answered with a SYN cookie.",
        },
    ),
}
"""Meaning by nstat's name, which rows of counters have for a place; others are harm."""


@lru_cache(4096)
def meaning(reason: str, location: str, trait: str | None = None) -> Meaning:
    """Return the class of a drop and why.

    location: as in rows. trait: what else is known of the packet.
    """
    function = function_of(location)
    if function in COUNTERS:
        return COUNTERS[function]
    if trait == CLOSED and function.startswith(_ANY_QUEUE):
        return _PURGED
    if reason == TIME_WAIT and trait == DASH:
        return _LATE
    if trait == GROUP and reason in _SILENT and function.startswith(_ROUTING):
        return _NO_MEMBER
    if trait == DASH and reason == "NOT_SPECIFIED" and function in _TO_ONE:
        return _TO_ONE[function]
    found = _of_place(reason, function) or REASONS.get(reason, _UNKNOWN)
    if trait == RST and found in (REASONS["NO_SOCKET"], _NOBODY):
        return _LATE_RST
    return found


def _of_place(reason: str, function: str) -> Meaning | None:
    """Return what the place tells, where the reason tells nothing."""
    if (reason, function) in _AT or reason not in _SILENT:
        return _AT.get((reason, function))
    if function in PLACES or reason == PURGE:
        return PLACES.get(function, _QUEUE)
    return (_WITHOUT_REASON if reason == "-" else _WITH_REASONS).get(function)


def meaning_of(values: Mapping[str, object]) -> Meaning:
    """Return what a row of `drops` means."""
    return meaning(str(values["reason"]), str(values["location"]), _trait(values))


def class_of(values: Mapping[str, object]) -> DropClass:
    """Return the class of a row of `drops`."""
    return meaning_of(values).drop_class


def sentence_of(values: Mapping[str, object]) -> str:
    """Return why a row of `drops` is of its class."""
    return meaning_of(values).sentence


def is_lost(values: Mapping[str, object]) -> bool:
    """Return whether somebody waited for the packets of a row of `drops`."""
    return _packets(values) and class_of(values) is not DropClass.ORDINARY


def is_ordinary(values: Mapping[str, object]) -> bool:
    """Return whether a row of `drops` has packets that nobody waited for."""
    return _packets(values) and class_of(values) is DropClass.ORDINARY


def _packets(values: Mapping[str, object]) -> bool:
    """Return whether the row counts packets of its own: not events, nor what another row has.

    Rows of old recordings do not tell, and count.
    """
    return values.get("counts") in (None, "packets")


def _trait(values: Mapping[str, object]) -> str | None:
    trait = values.get("trait")  # recordings before 1.0 have none
    return str(trait) if trait is not None else None
