/* protocol: the EtherType, with IP's protocol in the low byte; neither means anything for a
 * packet that is not IP. Headers lie between head and tail; if the network header is not set yet,
 * it is where the data begins. Later fragments have no ports. SKB reads a field: without a helper
 * where its type is known, which makes an event a third cheaper. Returns the source port, or 0. */

struct ipv4 {
    u8 length, tos;
    u16 total, id, fragment;
    u8 ttl, protocol;
    u16 sum;
    u8 from[4], to[4];
};
struct ipv6 {
    u32 flow;
    u16 payload;
    u8 next, hops, from[16], to[16];
};
struct extension { u8 next, length; };
struct ports { u16 source, destination; };

INLINE u32 netns_of_route(struct sk_buff *skb, u32 *ifindex) {
    struct dst_entry *route = (void *)(SKB(_skb_refdst) & ~1UL);
    struct net_device *dev = (long)route < 0 ? PROBE(route->dev) : 0;
    u32 netns = netns_of_probed(dev);
    *ifindex = netns ? PROBE(dev->ifindex) : 0;
    return *ifindex ? netns : 0;
}

INLINE int is_broadcast(struct sk_buff *skb) {
    struct rtable *route = (void *)(SKB(_skb_refdst) & ~1UL);
    u32 ifindex, flags = (long)route < 0 ? PROBE(route->rt_flags) : 0;
    return flags & 0x10000000 /* RTCF_BROADCAST */ && netns_of_route(skb, &ifindex);
}

INLINE u32 describe(struct where *key, struct sk_buff *skb) {
    u32 source = 0;
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
            return 0;
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
        return 0;
    }
    if (protocol == 6 || protocol == 17 || protocol == 132 || protocol == 33) {
        struct ports found = {};
        if (at + sizeof(found) > tail)
            return 0;
        bpf_probe_read_kernel(&found, sizeof(found), head + at);
        key->port = bpf_ntohs(found.destination);
        source = bpf_ntohs(found.source);
    }
    if (protocol == 6 && at + 14 <= tail) {
        u8 flags = 0;
        bpf_probe_read_kernel(&flags, sizeof(flags), head + at + 13);
        if (flags & 4)
            key->trait = RST;
        else if (flags & 2)
            key->trait = SYN;
    }
    return source;
}
