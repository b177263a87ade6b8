/* Several of these fields are shared with others. `dev` is also a tree node's left child (TCP's
 * out-of-order queue, fq, netem, IP's fragments), and counters of UDP's queue; `_skb_refdst` is a
 * link in TCP's list of sent packets, and `sk` an offset among fragments. None is cleared when
 * the packet is freed. So a pointer is taken for a namespace only if its own loopback says it is
 * in it, for a socket only if it leads to a namespace, and for a device only if its first queue
 * says that it is this device's, too. NETNS and NETNS_OF name the functions; GET reads a field. */

INLINE u32 NETNS(struct net *net) {
    struct net_device *loopback;
    if ((long)net >= 0)
        return 0;
    loopback = GET(net->loopback_dev);
    if ((long)loopback >= 0 || GET(loopback->nd_net.net) != net)
        return 0;
    return GET(net->ns.inum);
}

INLINE u32 NETNS_OF(struct net_device *dev) {
    struct netdev_queue *queue;
    if ((long)dev >= 0)
        return 0;
    queue = GET(dev->_tx);
    if ((long)queue >= 0 || GET(queue->dev) != dev)
        return 0;
    return NETNS(GET(dev->nd_net.net));
}
