/* Connections that were open before get the callback flags from an iterator over sockets. Flags
 * are only added, and only those that were added here are taken back: `set` has them. The iterator
 * comes back now and then, brings every row up to date, and writes the cookies of those that have
 * no row: there is no room, or their flags are not to be set. */

struct slot {
    u8 laddr[24], raddr[24];
    u32 lport, rport, srtt_us, min_us, last_us;
    u16 set, before; /* before: it was open when it was first seen */
    u64 samples, retransmits, sent, inode, rtt[BUCKETS];
};
BPF_TABLE("hash", u64, struct slot, rows, 16384); /* until the socket is closed */

/* new, before: flags that stay, of connections established since and of those open before. */
struct plan { u32 stage, new, before; };
BPF_TABLE("array", u32, struct plan, plan, 1);

#define SOL_TCP 6
#define TCP_BPF_SOCK_OPS_CB_FLAGS 1008
#define FLAGS (BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG)

static inline u64 inode_of(struct tcp_sock *tcp) {
    struct socket *socket = tcp->inet_conn.icsk_inet.sk.sk_socket;
    struct file *file = socket ? socket->file : 0;
    struct inode *inode = file ? file->f_inode : 0;
    return inode ? inode->i_ino : 0;
}

/* -- the sock_ops program ------------------------------------------------------------------ */

static inline struct slot *add(struct bpf_sock_ops *ctx, u64 *cookie) {
    struct slot slot = {};
    ends_of(ctx, slot.laddr, slot.raddr, &slot.lport, &slot.rport);
    rows.insert(cookie, &slot);
    struct slot *added = rows.lookup(cookie);
    if (!added)
        not_counted();
    return added;
}

static inline void estimated(struct bpf_sock_ops *ctx, struct slot *slot) {
    struct bpf_sock *sk = ctx->sk;
    struct tcp_sock *tcp = sk ? (void *)bpf_skc_to_tcp_sock(sk) : 0;
    slot->retransmits = READ(ctx->total_retrans);
    slot->sent = READ(ctx->data_segs_out);
    slot->srtt_us = READ(ctx->srtt_us) >> 3;
    slot->min_us = READ(ctx->rtt_min);
    if (tcp)
        slot->inode = inode_of(tcp);
}
static inline void sampled(struct bpf_sock_ops *ctx, struct slot *slot) {
    u32 sample = READ(ctx->args[0]);
    slot->srtt_us = READ(ctx->args[1]) >> 3; /* the socket's own is not yet set */
    slot->last_us = sample;
    slot->samples++;
    slot->rtt[bucket_of(sample, BUCKETS)]++;
}
static inline void ended(struct bpf_sock_ops *ctx, u32 flags) {
    u64 cookie = SOCKET_COOKIE(ctx);
    struct slot *slot = rows.lookup(&cookie);
    if (!slot || READ(ctx->args[1]) != TCP_CLOSE)
        return;
    bpf_sock_ops_cb_flags_set(ctx, flags & ~slot->set); /* it may connect again */
    rows.delete(&cookie);
}

int watch(struct bpf_sock_ops *ctx) {
    u32 op = READ(ctx->op), flags = READ(ctx->bpf_sock_ops_cb_flags), first = 0;
    int opens =
        op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB;
    struct plan *now = plan.lookup(&first);
    u64 cookie;
    struct slot *slot;
    if (op == BPF_SOCK_OPS_STATE_CB)
        ended(ctx, flags);
    if (!opens && op != BPF_SOCK_OPS_RTT_CB && op != BPF_SOCK_OPS_RETRANS_CB)
        return 1;
    cookie = SOCKET_COOKIE(ctx);
    slot = rows.lookup(&cookie);
    if (!now || now->stage == LEAVING || (!slot && !(slot = add(ctx, &cookie))))
        return 1;
    if (opens && ~flags & FLAGS) {
        slot->set |= FLAGS & ~flags;
        bpf_sock_ops_cb_flags_set(ctx, flags | FLAGS);
    }
    estimated(ctx, slot);
    if (op == BPF_SOCK_OPS_RTT_CB)
        sampled(ctx, slot);
    return 1;
}

/* -- the iterator: the kernel holds the socket's lock, so that no callback comes between ---- */

static inline int flagged(struct tcp_sock *tcp, int flags) {
    return ((int (*)(void *, int, int, void *, int))BPF_FUNC_setsockopt)(
        tcp, SOL_TCP, TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags));
}
static inline void tell(struct slot *to, struct tcp_sock *tcp) {
    to->srtt_us = tcp->srtt_us >> 3;
    to->min_us = tcp->rtt_min.s[0].v;
    to->retransmits = tcp->total_retrans;
    to->sent = tcp->data_segs_out;
    to->inode = inode_of(tcp);
}
static inline void give_back(struct tcp_sock *tcp, struct slot *slot, u64 *cookie, u32 stays) {
    u32 ours = slot->set & ~stays;
    if (ours && tcp->bpf_sock_ops_cb_flags & ours)
        flagged(tcp, tcp->bpf_sock_ops_cb_flags & ~ours);
    rows.delete(cookie);
}

static inline struct slot *add_open(struct sock *sk, u64 *cookie) {
    struct slot new = {};
    ends_of_sock(sk, new.laddr, new.raddr, &new.lport, &new.rport);
    new.before = 1;
    rows.insert(cookie, &new);
    return rows.lookup(cookie);
}

int visit(u64 *ctx) {
    void *file = ARG(ctx, 0, struct iteration *)->file;
    struct sock_common *common = ARG(ctx, 1, struct sock_common *);
    struct tcp_sock *tcp = common ? (void *)bpf_skc_to_tcp_sock((void *)common) : 0;
    struct sock *sk = (struct sock *)tcp;
    u32 first = 0, flags;
    struct plan *now = plan.lookup(&first);
    struct slot *slot;
    u64 cookie;
    if (!tcp || !now || !(1 << common->skc_state & SYNCHRONIZED))
        return 0;
    cookie = SOCKET_COOKIE(sk);
    slot = rows.lookup(&cookie);
    if (slot && (now->stage == LEAVING || (now->stage == ALONGSIDE && slot->before))) {
        give_back(tcp, slot, &cookie, slot->before ? now->before : now->new);
        slot = 0;
    } else if (!slot && now->stage == ALONE) {
        slot = add_open(sk, &cookie);
    }
    if (!slot) {
        ((long (*)(void *, void *, u32))BPF_FUNC_seq_write)(file, &cookie, sizeof(cookie));
        return 0;
    }
    tell(slot, tcp);
    flags = tcp->bpf_sock_ops_cb_flags;
    if (now->stage == ALONE && ~flags & FLAGS && !flagged(tcp, flags | FLAGS))
        slot->set |= FLAGS & ~flags;
    return 0;
}
