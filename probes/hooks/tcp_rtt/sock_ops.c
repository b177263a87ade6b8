/* A callback comes for each measured round trip. Before Linux 6.10 it does not pass the sample;
 * the smoothed estimate is used instead. */

static inline struct slot *add(struct bpf_sock_ops *ctx, u64 *cookie) {
    struct slot slot = {};
    ends_of(ctx, slot.laddr, slot.raddr, &slot.lport, &slot.rport);
    return added(cookie, &slot);
}

int watch(struct bpf_sock_ops *ctx) {
    u32 op = READ(ctx->op), srtt, sample;
    struct slot *slot;
    u64 cookie;
    if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
        bpf_sock_ops_cb_flags_set(ctx, READ(ctx->bpf_sock_ops_cb_flags) | BPF_SOCK_OPS_RTT_CB_FLAG |
                                           BPF_SOCK_OPS_RETRANS_CB_FLAG |
                                           BPF_SOCK_OPS_STATE_CB_FLAG);
    else if (op != BPF_SOCK_OPS_RTT_CB && op != BPF_SOCK_OPS_RETRANS_CB &&
             op != BPF_SOCK_OPS_STATE_CB)
        return 1;
    cookie = SOCKET_COOKIE(ctx);
    if (op == BPF_SOCK_OPS_STATE_CB) {
        if (READ(ctx->args[1]) == TCP_CLOSE)
            rows.delete(&cookie);
        return 1;
    }
    slot = rows.lookup(&cookie);
    if (!slot && !(slot = add(ctx, &cookie)))
        return 1;
    srtt = READ(ctx->srtt_us) >> 3;
    sample = READ(ctx->args[0]);
    slot->retransmits = READ(ctx->total_retrans);
    slot->sent = READ(ctx->data_segs_out);
    slot->srtt_us = srtt;
    slot->min_us = READ(ctx->rtt_min);
    if (op == BPF_SOCK_OPS_RTT_CB)
        sampled(slot, sample ? sample : srtt);
    return 1;
}
