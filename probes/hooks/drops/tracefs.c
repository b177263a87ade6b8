/* The offsets of the tracepoint's fields differ between kernels; BTF knows them. */

int dropped(struct trace_event_raw_kfree_skb *ctx) {
    if (LEFT_OUT)
        return 0;
    look((struct sk_buff *)ctx->skbaddr, (u64)ctx->location, REASON);
    return 0;
}
