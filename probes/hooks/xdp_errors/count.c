/* trace_xdp_exception(dev, xdp, act): a program answered XDP_ABORTED or an unknown verdict, or
 * its packet could not be sent back. trace_xdp_redirect_err(dev, xdp, to, err, ...): it could not
 * be redirected; some drivers then report an exception as well. Packets sent in bulk and then
 * lost: trace_xdp_devmap_xmit(from, to, sent, lost, err), and trace_xdp_bulk_tx(dev, sent, lost,
 * err) for those sent back (include/trace/events/xdp.h, unchanged since Linux 5.6). */

struct what { u32 ifindex, to, to_netns, act, error; };
struct slot { u64 packets; };
BPF_TABLE("percpu_hash", struct what, struct slot, rows, MAX_ROWS);
BPF_TABLE("array", u32, u32, home, 1);

static inline int count(u32 netns, struct what *key, u64 n) {
    u32 first = 0, *own = home.lookup(&first);
    if (!n || !own || *own != netns)
        return 0;
    struct slot zero = {}, *slot = rows.lookup_or_try_init(key, &zero);
    if (slot)
        slot->packets += n;
    else
        not_counted_all(n);
    return 0;
}

int exception(u64 *ctx) {
    struct what key = {.ifindex = INDEX(ctx), .act = (u32)ctx[2]};
    return key.act == XDP_REDIRECT ? 0 : count(NETNS(ctx), &key, 1);
}

int redirect_err(u64 *ctx) {
    struct what key = {.ifindex = INDEX(ctx), .act = XDP_REDIRECT};
    key.error = -(int)ctx[3];
    return count(NETNS(ctx), &key, 1);
}

int devmap_xmit(u64 *ctx) {
    struct what key = {.ifindex = INDEX(ctx), .to = TO(ctx), .act = XDP_REDIRECT};
    key.to_netns = TO_NETNS(ctx);
    key.error = -(int)ctx[4];
    return count(NETNS(ctx), &key, (u32)ctx[3]);
}

int bulk_tx(u64 *ctx) {
    struct what key = {.ifindex = INDEX(ctx), .act = XDP_TX, .error = -(int)ctx[3]};
    return count(NETNS(ctx), &key, (u32)ctx[2]);
}
