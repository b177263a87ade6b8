int dropped(u64 *ctx) {
    if (LEFT_OUT)
        return 0;
    struct sk_buff *skb = ARG(ctx, 0, struct sk_buff *);
    struct where key = {.location = ctx[1], .reason = REASON};
    place(&key, skb);
    u32 source = describe(&key, skb), way = way_of(skb);
    if (key.trait != RST && closed(skb))
        key.trait = CLOSED;
    key.trait |= way << 8;
    if (way == OUT && source)
        count_sender(&key, source);
    count(&key);
    return 0;
}
