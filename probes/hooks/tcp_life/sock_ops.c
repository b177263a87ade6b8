int watch(struct bpf_sock_ops *ctx) {
    u32 op = READ(ctx->op);
    struct figures now = {};
    struct connection *c;
    struct tcp_sock *tcp;
    struct bpf_sock *sk;
    u64 id;
    if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
        op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_STATE_CB &&
        op != BPF_SOCK_OPS_RETRANS_CB)
        return 1;
    id = SOCKET_COOKIE(ctx);
    if (op == BPF_SOCK_OPS_STATE_CB || op == BPF_SOCK_OPS_RETRANS_CB) {
        c = open.lookup(&id);
        sk = ctx->sk;
        if (!c || !sk || !(tcp = (void *)bpf_skc_to_tcp_sock(sk)))
            return 1;
        figures_of(tcp, &now);
        if (op == BPF_SOCK_OPS_RETRANS_CB && c->at)
            resent(c, slot_of(c), now.retransmits);
        else if (op == BPF_SOCK_OPS_STATE_CB)
            moved(id, c, READ(ctx->args[0]), READ(ctx->args[1]), &now);
        return 1;
    }
    bpf_sock_ops_cb_flags_set(ctx, READ(ctx->bpf_sock_ops_cb_flags) | BPF_SOCK_OPS_RETRANS_CB_FLAG |
                                       BPF_SOCK_OPS_STATE_CB_FLAG);
    if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
        connects(id, bpf_ntohl(READ(ctx->remote_port)));
        return 1;
    }
    c = opening(id, op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, bpf_ntohl(READ(ctx->remote_port)));
    if (!c)
        return 1;
    ends_of(ctx, c->laddr, c->raddr, &c->lport, &c->rport);
    established(c);
    return 1;
}
