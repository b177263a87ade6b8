INLINE void look(struct sk_buff *skb, u64 location, u32 reason) {
    struct where key = {.location = location, .reason = reason};
    place(&key, skb);
    u32 source = describe(&key, skb), way = way_of(skb);
    if (key.trait != RST && closed(skb))
        key.trait = CLOSED;
    key.trait |= way << 8;
    if (way == OUT && source)
        count_sender(&key, source);
    count(&key);
}
