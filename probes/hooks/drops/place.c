/* A socket may be a request or in TIME_WAIT: read only what all of them begin with, and flags
 * only of others. The test for null must be written like this: newer verifiers then trust the
 * pointer. NETNS, NETNS_OF, GET: as in netns.c. */

enum { TIME_WAIT = 6, NEW_SYN_RECV = 12, SOCK_DEAD = 0 };

INLINE u32 netns_of_socket(struct sk_buff *skb) {
    struct sock *sk = GET(skb->sk);
    return sk ? NETNS(GET(sk->__sk_common.skc_net.net)) : 0;
}

INLINE int closed(struct sk_buff *skb) {
    struct sock *sk = GET(skb->sk);
    if (!sk || !NETNS(GET(sk->__sk_common.skc_net.net)))
        return 0;
    u8 state = GET(sk->__sk_common.skc_state);
    if (state == TIME_WAIT || state == NEW_SYN_RECV)
        return 0;
    return GET(sk->__sk_common.skc_flags) & 1UL << SOCK_DEAD;
}

/* For this host; not routed yet; to be sent on; made here. */
INLINE u32 way_of(struct sk_buff *skb) {
    u32 goes_by = 0;
    if (GET(skb->skb_iif) <= 0)
        return OUT;
    if (!GET(skb->_skb_refdst))
        return CAME;
    if (!netns_of_route(skb, &goes_by))
        return UNKNOWN;
    return goes_by == 1 /* LOOPBACK_IFINDEX */ ? IN : THROUGH;
}

INLINE void place(struct where *key, struct sk_buff *skb) {
    struct net_device *dev = GET(skb->dev);
    int came_by = GET(skb->skb_iif);
    u32 goes_by = 0, netns = NETNS_OF(dev);
    u32 ifindex = netns ? GET(dev->ifindex) : 0;
    if (ifindex) {
        struct kernfs_node *node = GET(dev->dev.kobj.sd);
        key->ifindex = ifindex;
        key->netns = netns;
        key->device = node ? GET(node->id) : 0;
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
