/* Several of these fields are other things at times. `dev` is where a tree's node has its left
 * child (TCP's out-of-order queue, fq, netem, IP's fragments), and numbers of UDP's queue;
 * `_skb_refdst` is a link of TCP's list of what was sent, and `sk` an offset among fragments.
 * None of them is cleared when the packet is freed. So nothing is taken for a device or a socket
 * but what leads to a network namespace, and for such only what its own loopback says it is in.
 * NETNS: the function's name; GET: how a field is read. */

INLINE u32 NETNS(struct net *net) {
    struct net_device *loopback;
    if ((long)net >= 0)
        return 0;
    loopback = GET(net->loopback_dev);
    if ((long)loopback >= 0 || GET(loopback->nd_net.net) != net)
        return 0;
    return GET(net->ns.inum);
}
