static inline int seen_at(struct bpf_sock_addr *ctx, struct who *who, u32 op) {
    who->op = op;
    who->protocol = READ(ctx->protocol);
    who->family = READ(ctx->user_family);
    /* the port of a peer that connected to us differs each time: many rows that tell nothing */
    who->port = op < 3 ? bpf_ntohs(READ(ctx->user_port)) : 0;
    count(who);
    return 1;
}
