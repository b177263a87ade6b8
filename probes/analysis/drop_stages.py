"""Stages of the funnel for the kernel's drops, by reason or function: data."""

from __future__ import annotations

STAGES = ("nic", "xdp", "tc-ingress", "stack", "socket", "tc-egress", "qdisc", "wire")
UNTOLD = "stack-or-socket"
"""The stage of drops whose reason and place do not tell which of two stages it was."""
RECEIVING, ANYWHERE = "receiving", "anywhere"
"""Not stages: places that several stages share, told apart by other counters."""

_REASONS = {
    "XDP": "xdp",
    "TC_INGRESS": "tc-ingress",
    "TC_EGRESS": "tc-egress",
    "NO_SOCKET": "socket",
    "PROTO_MEM": "socket",
    "UDP_CSUM": "socket",
    "QUEUE_PURGE": "socket",
    "PACKET_SOCK_ERROR": "socket",
    "FULL_RING": "wire",
    "TAP_FILTER": "wire",
    "TAP_TXFILTER": "wire",
    "NO_TX_TARGET": "wire",
}
_REASON_BEGINS = {
    "SOCKET_": "socket",
    "TCP_": "socket",
    "UNIX_": "socket",
    "QDISC_": "qdisc",
    "FQ_": "qdisc",
    "CAKE_": "qdisc",
    "DUALPI2_": "qdisc",
    "SFB_": "qdisc",
}
_SILENT = frozenset({"-", "NOT_SPECIFIED"})
"""Reasons that tell nothing: the place decides."""

_DRIVERS = {
    "tun_get_user": "nic",
    "tap_get_user": "nic",
    "veth_xmit": "wire",
    "tun_net_xmit": "wire",
    "vxlan_xmit": "wire",
    "vxlan_xmit_one": "wire",
    "geneve_xmit": "wire",
    "netkit_xmit": "wire",
    "ipgre_xmit": "wire",
    "erspan_xmit": "wire",
    "gre_tap_xmit": "wire",
    "wg_xmit": "wire",
    "ifb_xmit": "wire",
    "vrf_xmit": "wire",
    "team_xmit": "wire",
    "__dev_direct_xmit": "wire",
    "validate_xmit_skb": "wire",
}
"""Functions of drivers: what they drop is lost at the device, whatever the reason."""
SENDING = "__dev_queue_xmit"
"""Frees what TC drops on the way out, what a queue drops, and what the device cannot send."""
_DRIVER_ENDS = ("_start_xmit", "_dev_xmit", "_net_xmit", "_tunnel_xmit", "_tx_drop")
"""Suffixes of functions by which drivers send: what these drop is lost at the device as well."""
_FUNCTIONS = {
    "__netif_receive_skb_core": RECEIVING,
    "do_xdp_generic": "xdp",
    "netif_receive_generic_xdp": "xdp",
    "veth_xdp_rcv_skb": "xdp",
    "veth_xdp_rcv": "xdp",
    "veth_poll": "xdp",
    SENDING: "tc-egress",
    "kfree_skb_list": ANYWHERE,
    "kfree_skb_list_reason": ANYWHERE,
    "__dev_kfree_skb_any": ANYWHERE,
    "dev_kfree_skb_any_reason": ANYWHERE,
    "net_tx_action": ANYWHERE,
    "enqueue_to_backlog": "stack",
}
_FUNCTION_BEGINS = (
    ("socket", ("udp", "__udp", "tcp_", "__tcp", "raw_", "rawv6_", "ping_", "packet_", "tpacket_")),
    ("socket", ("sock_", "__sock", "sk_", "inet_", "inet6_", "unix_", "netlink_", "__skb_queue_p")),
    ("socket", ("skb_queue_p", "sctp_", "dccp_", "mptcp_", "vsock_")),
    ("stack", ("ip_", "ip6_", "ipv6_", "__ip", "icmp", "__icmp", "igmp", "mld_", "ndisc_", "arp_")),
    ("stack", ("nf_", "nft_", "neigh_", "__neigh", "fib", "br_", "vlan_", "xfrm", "macvlan_")),
    ("stack", ("bond_", "ovs_", "netif_rx", "__netif_rec", "mpls_", "dst_", "ipvlan_", "lwtunnel")),
)
IN_RX_DROPPED = frozenset(
    {"UNHANDLED_PROTO", "CPU_BACKLOG", "PFMEMALLOC", ("-", "enqueue_to_backlog")}
)
"""Reasons, or reason and function, of drops that the core also counts in the link's rx_dropped."""


def stage_of(reason: str, function: str) -> str:
    """Return one of STAGES, UNTOLD, RECEIVING or ANYWHERE."""
    if function in _DRIVERS:
        return _DRIVERS[function]
    if function.endswith(_DRIVER_ENDS):
        return "wire"
    if reason not in _SILENT:
        if reason.startswith("TC_") and reason not in _REASONS:  # errors of classifying
            return "tc-ingress" if function.startswith("__netif_receive") else "tc-egress"
        begins = (stage for begin, stage in _REASON_BEGINS.items() if reason.startswith(begin))
        return _REASONS.get(reason) or next(begins, "stack")
    if function in _FUNCTIONS:
        stage = _FUNCTIONS[function]
        # Where there are reasons, TC gives one.
        return "stack" if reason != "-" and stage in (RECEIVING, "tc-egress") else stage
    return next((s for s, begins in _FUNCTION_BEGINS if function.startswith(begins)), UNTOLD)


def function_of(location: str) -> str:
    """Return a place's function, without the offset and the compiler's suffixes for its copies."""
    return location.partition("+")[0].partition(".")[0]
