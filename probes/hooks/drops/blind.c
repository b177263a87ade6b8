/* Under lockdown=confidentiality no program that reads memory through a helper loads: only the
 * kinds of packets by EtherType are left. */

INLINE u32 describe(struct where *key, struct sk_buff *skb) {
    u8 type = skb->pkt_type;
    key->protocol = (u32)bpf_ntohs(skb->protocol) << 8;
    if (type == 1 || type == 2 || type == 5) /* PACKET_BROADCAST, _MULTICAST, _LOOPBACK */
        key->trait = GROUP;
    return 0;
}

INLINE u32 netns_of_route(struct sk_buff *skb, u32 *ifindex) { return 0; }
