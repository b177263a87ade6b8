"""The C that counts drops: what is known of a packet when the kernel frees it as dropped."""

from __future__ import annotations

from probes.kernel import privilege
from probes.toolkit.counters_c import everything

MAP_ENTRIES = 4096

# trace_kfree_skb(skb, location, reason): the reason came with Linux 5.17. A received packet that
# is queued at a socket has no device any more, but remembers the number of the one it came by. What
# the own output firewall drops has none yet, but a route. The device that stands for those that are
# gone has the number 0 and the first namespace, whoever's they were. What tells a device from the
# one that has its number later is that of its folder in sysfs.
#
# Who scans ports makes a row for each. They have a map of their own that throws nothing out: when
# it is full, further ports are counted together, as 0, and no count is lost.
_CORE = """
#define INLINE static inline __attribute__((always_inline))
struct where { u64 location, device; u32 reason, ifindex, netns, protocol, port, trait; };
enum trait { NOTHING, CLOSED, RST, GROUP, SYN };
struct slot { u64 packets; };
EVERYTHING
BPF_TABLE("lru_percpu_hash", struct where, struct slot, rows, MAP_ENTRIES);
BPF_TABLE("percpu_hash", struct where, struct slot, ports, MAP_ENTRIES);

#ifndef ONE_IN
#define ONE_IN 1
#endif
#define LEFT_OUT (ONE_IN > 1 && bpf_get_prandom_u32() % ONE_IN)

INLINE void count(struct where *key) {
    struct slot one = {.packets = 1}, *slot, *all = sum_of_all();
    if (all)
        all->packets++;
    if (key->port) {
        slot = ports.lookup(key);
        if (slot) {
            slot->packets++;
            return;
        }
        if (!ports.update(key, &one))
            return;
        key->port = 0;
    }
    slot = rows.lookup(key);
    if (slot)
        slot->packets++;
    else
        rows.update(key, &one);
}
"""

# protocol: the EtherType, and in the low byte that of IP; neither has a meaning in one that is
# not IP. Headers lie between head and tail; a network header that nobody has set yet is where the
# data begins. Later fragments have no ports. SKB reads a field: where its type is known without a
# helper, which makes an event a third cheaper.
_HEADERS = """
struct ipv4 {
    u8 length, tos;
    u16 total, id, fragment;
    u8 ttl, protocol;
    u16 sum;
    u8 from[4], to[4];
};
struct ipv6 { u32 flow; u16 payload; u8 next, hops, from[16], to[16]; };
struct extension { u8 next, length; };
struct ports { u16 source, destination; };

INLINE u32 netns_of_route(struct sk_buff *skb, u32 *ifindex) {
    struct dst_entry *route = (void *)(SKB(_skb_refdst) & ~1UL);
    struct net_device *dev = (long)route < 0 ? PROBE(route->dev) : 0;
    u32 netns = (long)dev < 0 ? netns_probed(PROBE(dev->nd_net.net)) : 0;
    *ifindex = netns ? PROBE(dev->ifindex) : 0;
    return *ifindex ? netns : 0;
}

INLINE int is_broadcast(struct sk_buff *skb) {
    struct rtable *route = (void *)(SKB(_skb_refdst) & ~1UL);
    u32 ifindex, flags = (long)route < 0 ? PROBE(route->rt_flags) : 0;
    return flags & 0x10000000 /* RTCF_BROADCAST */ && netns_of_route(skb, &ifindex);
}

INLINE void describe(struct where *key, struct sk_buff *skb) {
    unsigned char *head = SKB(head);
    u32 at = SKB(network_header), tail = SKB(tail), protocol = 0;
    u32 ethertype = bpf_ntohs(SKB(protocol));
    key->protocol = ethertype << 8;
    if (!at)
        at = SKB(data) - head;
    if (ethertype == 0x0800) {
        struct ipv4 ip = {};
        bpf_probe_read_kernel(&ip, sizeof(ip), head + at);
        protocol = ip.protocol;
        if ((ip.to[0] & 0xf0) == 0xe0 || (protocol == 17 && is_broadcast(skb)))
            key->trait = GROUP;
        at += (ip.length & 15) * 4;
        key->protocol |= protocol;
        if (ip.fragment & bpf_htons(0x1fff))
            return;
    } else if (ethertype == 0x86dd) {
        struct ipv6 ip = {};
        bpf_probe_read_kernel(&ip, sizeof(ip), head + at);
        protocol = ip.next;
        if (ip.to[0] == 0xff)
            key->trait = GROUP;
        at += 40;
#pragma unroll
        for (int i = 0; i < 3; i++) {
            struct extension extension = {};
            if (protocol != 0 && protocol != 43 && protocol != 60)
                break;
            bpf_probe_read_kernel(&extension, sizeof(extension), head + at);
            protocol = extension.next;
            at += (extension.length + 1) * 8;
        }
        key->protocol |= protocol;
    } else {
        return;
    }
    if (protocol == 6 || protocol == 17 || protocol == 132 || protocol == 33) {
        struct ports found = {};
        if (at + sizeof(found) > tail)
            return;
        bpf_probe_read_kernel(&found, sizeof(found), head + at);
        key->port = bpf_ntohs(found.destination);
    }
    if (protocol == 6 && at + 14 <= tail) {
        u8 flags = 0;
        bpf_probe_read_kernel(&flags, sizeof(flags), head + at + 13);
        if (flags & 4)
            key->trait = RST;
        else if (flags & 2)
            key->trait = SYN;
    }
}
"""

# Several of these fields are other things at times. `dev` is where a tree's node has its left
# child (TCP's out-of-order queue, fq, netem, IP's fragments), and numbers of UDP's queue;
# `_skb_refdst` is a link of TCP's list of what was sent, and `sk` an offset among fragments. None
# of them is cleared when the packet is freed. So nothing is taken for a device or a socket but
# what leads to a network namespace, and for such only what its own loopback says it is in.
_NETNS = """
INLINE u32 netns_SUFFIX(struct net *net) {
    struct net_device *loopback;
    if ((long)net >= 0)
        return 0;
    loopback = GET_SUFFIX(net->loopback_dev);
    if ((long)loopback >= 0 || GET_SUFFIX(loopback->nd_net.net) != net)
        return 0;
    return GET_SUFFIX(net->ns.inum);
}
"""
# A socket may be a request or one in TIME_WAIT: only what all of them begin with is read, and flags
# only of others. That it is not null has to be asked in these words: newer verifiers trust the
# pointer then.
_PLACE = """
enum { TIME_WAIT = 6, NEW_SYN_RECV = 12, SOCK_DEAD = 0 };

INLINE u32 netns_of_socket(struct sk_buff *skb) {
    struct sock *sk = GET_SUFFIX(skb->sk);
    return sk ? netns_SUFFIX(GET_SUFFIX(sk->__sk_common.skc_net.net)) : 0;
}

INLINE int closed(struct sk_buff *skb) {
    struct sock *sk = GET_SUFFIX(skb->sk);
    if (!sk || !netns_SUFFIX(GET_SUFFIX(sk->__sk_common.skc_net.net)))
        return 0;
    u8 state = GET_SUFFIX(sk->__sk_common.skc_state);
    if (state == TIME_WAIT || state == NEW_SYN_RECV)
        return 0;
    return GET_SUFFIX(sk->__sk_common.skc_flags) & 1UL << SOCK_DEAD;
}

INLINE void place(struct where *key, struct sk_buff *skb) {
    struct net_device *dev = GET_SUFFIX(skb->dev);
    int came_by = GET_SUFFIX(skb->skb_iif);
    u32 goes_by = 0, netns = (long)dev < 0 ? netns_SUFFIX(GET_SUFFIX(dev->nd_net.net)) : 0;
    if (netns && GET_SUFFIX(dev->ifindex)) {
        struct kernfs_node *node = GET_SUFFIX(dev->dev.kobj.sd);
        key->ifindex = GET_SUFFIX(dev->ifindex);
        key->netns = netns;
        key->device = node ? GET_SUFFIX(node->id) : 0;
        return;
    }
    netns = netns_of_route(skb, &goes_by);
    key->netns = netns_of_socket(skb);
    if (!key->netns)
        key->netns = netns;
    if (came_by > 0)
        key->ifindex = came_by;
    else if (netns == key->netns)
        key->ifindex = goes_by;
}
"""
_PROBED = "#define SKB(field) PROBE(skb->field)\n#define GET_probed(field) PROBE(field)\n"
_DIRECT = "#define GET_direct(field) (field)\n"

# Under lockdown=confidentiality no program that reads memory through a helper is loaded: there
# the kinds of packets by EtherType are all there is.
_BLIND = """
INLINE void describe(struct where *key, struct sk_buff *skb) {
    u8 type = skb->pkt_type;
    key->protocol = (u32)bpf_ntohs(skb->protocol) << 8;
    if (type == 1 || type == 2 || type == 5) /* PACKET_BROADCAST, _MULTICAST, _LOOPBACK */
        key->trait = GROUP;
}

INLINE u32 netns_of_route(struct sk_buff *skb, u32 *ifindex) {
    return 0;
}
"""
_TYPED = """
int dropped(u64 *ctx) {
    if (LEFT_OUT)
        return 0;
    struct sk_buff *skb = ARG(ctx, 0, struct sk_buff *);
    struct where key = {.location = ctx[1], .reason = REASON};
    place(&key, skb);
    describe(&key, skb);
    if (key.trait != RST && closed(skb))
        key.trait = CLOSED;
    count(&key);
    return 0;
}
"""
_READ = """
INLINE void look(struct sk_buff *skb, u64 location, u32 reason) {
    struct where key = {.location = location, .reason = reason};
    place(&key, skb);
    describe(&key, skb);
    if (key.trait != RST && closed(skb))
        key.trait = CLOSED;
    count(&key);
}
"""
_RAW = """
int dropped(u64 *ctx) {
    if (LEFT_OUT)
        return 0;
    look(ARG(ctx, 0, struct sk_buff *), ctx[1], REASON);
    return 0;
}
"""
# Where the fields of the tracepoint stand is not the same on all kernels; BTF knows.
_TRACEFS = """
int dropped(struct trace_event_raw_kfree_skb *ctx) {
    if (LEFT_OUT)
        return 0;
    look((struct sk_buff *)ctx->skbaddr, (u64)ctx->location, REASON);
    return 0;
}
"""
TYPES = (
    "sk_buff",
    "net_device",
    "kernfs_node",
    "net",
    "ns_common",
    "sock",
    "dst_entry",
    "rtable",
    "trace_event_raw_kfree_skb",
)


def typed(_target: str = "", *, reasons: bool = True) -> str:
    """For a BTF-typed tracepoint: what needs no helper is read without."""
    headers: tuple[str, ...] = (_BLIND,)
    if privilege.lockdown() != "confidentiality":
        helped = "#define SKB(field) skb->field\n#define GET_probed(field) PROBE(field)\n"
        headers = helped, _of("probed", _NETNS), _HEADERS
    place = _DIRECT, _of("direct", _NETNS), _of("direct", _PLACE)
    return _made(*headers, *place, _TYPED, "(u32)ctx[2]" if reasons else "0")


def typed_without_reason(_target: str = "") -> str:
    """The same for kernels that give no reason."""
    return typed(reasons=False)


def raw() -> str:
    """For a raw tracepoint."""
    return _made(*_probed(), _RAW, "(u32)ctx[2]")


def tracefs(*, reasons: bool = True) -> str:
    """For a tracepoint through tracefs."""
    return _made(*_probed(), _TRACEFS, "ctx->reason" if reasons else "0")


def _probed() -> tuple[str, ...]:
    return _PROBED, _of("probed", _NETNS), _HEADERS, _of("probed", _PLACE), _READ


def _of(how: str, text: str) -> str:
    """The C for reading "direct", where the verifier knows the types, or "probed", by a helper."""
    return text.replace("SUFFIX", how)


def _made(*parts: str) -> str:
    core = _CORE.replace("MAP_ENTRIES", str(MAP_ENTRIES)).replace("EVERYTHING", everything())
    *source, reason = (core, *parts)
    return "".join(source).replace("REASON", reason)
