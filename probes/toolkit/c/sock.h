/* Both ends of a struct sock whose type the verifier knows. */

static inline void ends_of_sock(struct sock *sk, u8 *laddr, u8 *raddr, u32 *lport, u32 *rport) {
    struct sock_common *common = &sk->__sk_common;
    u32 *local = (u32 *)laddr, *remote = (u32 *)raddr;
    if (common->skc_family == AF_INET) {
        mapped(laddr, common->skc_rcv_saddr);
        mapped(raddr, common->skc_daddr);
    } else {
        local[0] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
        local[1] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
        local[2] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
        local[3] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
        remote[0] = common->skc_v6_daddr.in6_u.u6_addr32[0];
        remote[1] = common->skc_v6_daddr.in6_u.u6_addr32[1];
        remote[2] = common->skc_v6_daddr.in6_u.u6_addr32[2];
        remote[3] = common->skc_v6_daddr.in6_u.u6_addr32[3];
        if (of_link(laddr) || of_link(raddr)) {
            u32 ifindex = common->skc_bound_dev_if, netns = common->skc_net.net->ns.inum;
            on_link(laddr, ifindex, netns);
            on_link(raddr, ifindex, netns);
        }
    }
    *lport = common->skc_num;
    *rport = bpf_ntohs(common->skc_dport);
}
