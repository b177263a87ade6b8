/* The context is a struct bpf_iter__tcp: metadata, socket, user id. The metadata begins with the
 * file; kernels before 5.8 have no type for it. SYNCHRONIZED: a bit for each state that is shown. */

struct iteration { void *file; };
struct iterated {
    u8 laddr[24], raddr[24];
    u32 lport, rport, srtt_us, min_us, retransmits, sent;
    u64 cookie, inode;
};

int iterated(u64 *ctx) {
    void *file = ARG(ctx, 0, struct iteration *)->file;
    struct sock_common *common = ARG(ctx, 1, struct sock_common *);
    struct tcp_sock *tcp = common ? (void *)bpf_skc_to_tcp_sock((void *)common) : 0;
    struct iterated now = {};
    struct sock *sk = (struct sock *)tcp;
    struct socket *socket;
    if (!tcp || !(1 << common->skc_state & SYNCHRONIZED))
        return 0;
    ends_of_sock(sk, now.laddr, now.raddr, &now.lport, &now.rport);
    now.srtt_us = tcp->srtt_us >> 3;
    now.min_us = tcp->rtt_min.s[0].v;
    now.retransmits = tcp->total_retrans;
    now.sent = tcp->data_segs_out;
    now.cookie = SOCKET_COOKIE(sk);
    socket = sk->sk_socket;
    if (socket)
        now.inode = PROBE(((struct socket_alloc *)socket)->vfs_inode.i_ino);
    ((long (*)(void *, void *, u32))BPF_FUNC_seq_write)(file, &now, sizeof(now));
    return 0;
}
