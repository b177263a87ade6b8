/* A socket's owner is the process that creates it. One made by accept() has none at first: the
 * reader looks it up. */

BPF_TABLE("lru_hash", u64, struct owner, owners, 16384);
BPF_TABLE("lru_hash", u64, u32, strangers, 1024);

int created(struct bpf_sock *ctx) {
    struct owner owner = {.pid = this_pid()};
    u64 cookie = SOCKET_COOKIE(ctx);
    this_name(owner.comm);
    owners.update(&cookie, &owner);
    return 1;
}

static inline struct slot *slot_of(struct __sk_buff *ctx) {
    u64 cookie = SOCKET_COOKIE(ctx);
    struct owner *owner = owners.lookup(&cookie);
    struct who who = {.cgroup = ((u64 (*)(void *))BPF_FUNC_skb_cgroup_id)(ctx)};
    struct slot none = {};
    u32 one = 1;
    if (owner) {
        who.pid = owner->pid;
        __builtin_memcpy(who.comm, owner->comm, 16);
    } else {
        strangers.update(&cookie, &one);
    }
    return rows.lookup_or_try_init(&who, &none);
}

int egress(struct __sk_buff *ctx) {
    struct slot *slot = slot_of(ctx), *all = sum_of_all();
    u64 packets = ctx->gso_segs ? ctx->gso_segs : 1, bytes = ctx->len;
    /* Softirqs, which send and receive as well, interrupt a task that sends. */
    TALLY(slot, all, tx_packets, packets);
    TALLY(slot, all, tx_bytes, bytes);
    return 1;
}

int ingress(struct __sk_buff *ctx) {
    struct slot *slot = slot_of(ctx), *all = sum_of_all();
    u64 packets = ctx->gso_segs ? ctx->gso_segs : 1, bytes = ctx->len;
    TALLY(slot, all, rx_packets, packets);
    TALLY(slot, all, rx_bytes, bytes);
    return 1;
}
