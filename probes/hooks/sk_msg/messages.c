/* A message is what one call of the process passes, up to a page of its memory each: sendfile and
 * large writes make several. */

BPF_TABLE("percpu_array", u32, u64, taken, 1);

/* Counts a socket that is in another sockhash with a program on messages. */
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
    long full = sockets.sock_hash_update(ctx, &pair, BPF_ANY); /* bcc makes it a statement */
    if (full)
        not_counted(); /* its messages are not seen */
    if (full == -EBUSY)
        already_taken();
    return 1;
}

/* Inside a PID namespace processes have other numbers, which this program cannot ask for. */
#ifdef IN_PIDNS
#define SENDER 0
#else
#define SENDER (bpf_get_current_pid_tgid() >> 32)
#endif

int message(struct sk_msg_md *ctx) {
    struct pair pair = {};
    struct slot none = {}, *slot, *all = sum_of_all();
    u64 size = READ(ctx->size);
    ends_of(ctx, pair.laddr, pair.raddr, &pair.lport, &pair.rport);
    slot = rows.lookup_or_try_init(&pair, &none);
    TALLY(slot, all, messages, 1);
    TALLY(slot, all, bytes, size);
    if (slot) {
        slot->pid = SENDER;
        slot->cgroup = bpf_get_current_cgroup_id();
    }
    return SK_PASS;
}
