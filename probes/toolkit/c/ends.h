/* Both ends of a socket, for a program whose context is ENDS_CONTEXT: bpf_sock_ops and sk_msg_md
 * have the same fields here. ENDS_OF names the function. */

static inline void ENDS_OF(ENDS_CONTEXT *ctx, u8 *laddr, u8 *raddr, u32 *lport, u32 *rport) {
    u32 *local = (u32 *)laddr, *remote = (u32 *)raddr;
    if (READ(ctx->family) == AF_INET) {
        mapped(laddr, READ(ctx->local_ip4));
        mapped(raddr, READ(ctx->remote_ip4));
    } else {
        local[0] = READ(ctx->local_ip6[0]);
        local[1] = READ(ctx->local_ip6[1]);
        local[2] = READ(ctx->local_ip6[2]);
        local[3] = READ(ctx->local_ip6[3]);
        remote[0] = READ(ctx->remote_ip6[0]);
        remote[1] = READ(ctx->remote_ip6[1]);
        remote[2] = READ(ctx->remote_ip6[2]);
        remote[3] = READ(ctx->remote_ip6[3]);
        bound(ctx->sk, IPPROTO_TCP, laddr);
        bound(ctx->sk, IPPROTO_TCP, raddr);
    }
    *lport = READ(ctx->local_port);
    *rport = bpf_ntohl(READ(ctx->remote_port));
}
