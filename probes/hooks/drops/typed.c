int dropped(u64 *ctx) {
    if (LEFT_OUT)
        return 0;
    struct sk_buff *skb = ARG(ctx, 0, struct sk_buff *);
    struct where key = {.location = ctx[1], .reason = REASON};
    place(&key, skb);
    describe(&key, skb);
    if (key.trait != RST && closed(skb))
        key.trait = CLOSED;
    key.trait |= way_of(skb) << 8;
    count(&key);
    return 0;
}
