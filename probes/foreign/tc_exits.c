/* Two variants: the second avoids a helper, for kernels that hide their memory (lockdown). */

static inline void tc_count(struct sk_buff *skb, u32 verdict, u64 segments) {
    count(skb->dev, !skb->tc_at_ingress, verdict > 8 ? 9 : verdict, segments, skb->len);
}

int tc(u64 *ctx) {
    struct sk_buff *skb = ARG(ctx, 0, struct sk_buff *);
    struct skb_shared_info *shared = (struct skb_shared_info *)(skb->head + skb->end);
    u16 segments = PROBE(shared->gso_segs);
    tc_count(skb, ctx[1], segments ? segments : 1);
    return 0;
}

int tc_whole(u64 *ctx) {
    tc_count(ARG(ctx, 0, struct sk_buff *), ctx[1], 1);
    return 0;
}
