INLINE void look(struct sk_buff *skb, u64 location, u32 reason) {
    struct where key = {.location = location, .reason = reason};
    place(&key, skb);
    describe(&key, skb);
    if (key.trait != RST && closed(skb))
        key.trait = CLOSED;
    key.trait |= way_of(skb) << 8;
    count(&key);
}
