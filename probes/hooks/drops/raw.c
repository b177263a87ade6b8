int dropped(u64 *ctx) {
    if (LEFT_OUT)
        return 0;
    look(ARG(ctx, 0, struct sk_buff *), ctx[1], REASON);
    return 0;
}
