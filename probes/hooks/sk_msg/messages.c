/* A message here is what one call of the process gives, up to a page of its memory each: sendfile
 * and large writes are several. */

BPF_TABLE("percpu_array", u32, u64, taken, 1);

/* Another sockhash with a program on messages has the socket. */
static inline void already_taken(void) {
    u32 first = 0;
    u64 *sockets = taken.lookup(&first);
    if (sockets)
        *sockets += 1;
}

int established(struct bpf_sock_ops *ctx) {
    u32 op = READ(ctx->op);
    struct pair pair = {};
    if (op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
        return 1;
    ends_of_socket(ctx, pair.laddr, pair.raddr, &pair.lport, &pair.rport);
    long full = sockets.sock_hash_update(ctx, &pair, BPF_ANY); /* bcc makes a statement of it */
    if (full)
        not_counted(); /* none of its messages is seen */
    if (full == -EBUSY)
        already_taken();
    return 1;
}

int message(struct sk_msg_md *ctx) {
    struct pair pair = {};
    struct slot none = {}, *slot, *all = sum_of_all();
    u64 size = READ(ctx->size);
    ends_of(ctx, pair.laddr, pair.raddr, &pair.lport, &pair.rport);
    slot = rows.lookup_or_try_init(&pair, &none);
    TALLY(slot, all, messages, 1);
    TALLY(slot, all, bytes, size);
    return SK_PASS;
}
