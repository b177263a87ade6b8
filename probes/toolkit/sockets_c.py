"""The C that sources about sockets share: who is at both ends, as a program of each kind sees it.

An address is 16 bytes, an IPv4 one as ::ffff:a.b.c.d, so that every end has one form, and 8 for
the link of one that is link-local: interface and network namespace, 0 where that is not known
(`decode.address`). What is written to must be zero before. Ports are in the host's order.
"""

from __future__ import annotations

OF_SOCK_TYPES = ("sock", "sock_common", "tcp_sock", "udp6_sock", "net")
"""The kernel types that a program at sockets or cgroups reads of one, or by `OF_SOCK`."""

MAPPED = """
static inline void mapped(u8 *to, u32 v4) {
    to[10] = to[11] = 0xff;
    __builtin_memcpy(to + 12, &v4, 4);
}
static inline int of_link(u8 *a) {
    return (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) ||
           (a[0] == 0xff && ((a[1] & 15) == 1 || (a[1] & 15) == 2));
}
static inline void on_link(u8 *to, u32 ifindex, u32 netns) {
    if (!of_link(to))
        return;
    __builtin_memcpy(to + 16, &ifindex, 4);
    __builtin_memcpy(to + 20, &netns, 4);
}
"""

# A socket as programs at sockets and cgroups have it. In which namespace it is only the kernel's
# own struct tells, to programs that may read it by its type.
_BOUND = """
static inline u32 netns_of(struct bpf_sock *sk, u32 protocol) {
#ifdef HAVE_BTF
    if (protocol == IPPROTO_TCP) {
        struct tcp_sock *tcp = (void *)bpf_skc_to_tcp_sock(sk);
        if (tcp)
            return tcp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->ns.inum;
    } else if (protocol == IPPROTO_UDP) {
        struct udp6_sock *udp = (void *)bpf_skc_to_udp6_sock(sk);
        if (udp)
            return udp->udp.inet.sk.__sk_common.skc_net.net->ns.inum;
    }
#endif
    return 0;
}
static inline void bound(struct bpf_sock *sk, u32 protocol, u8 *to) {
    if (sk && of_link(to))
        on_link(to, sk->bound_dev_if, netns_of(sk, protocol));
}
"""

# struct bpf_sock_addr: what a process asks for, before the kernel has looked at it. It has no link.
# That is in the name that the process gave: by the registers of its call, which lie at the end of
# its stack, an argument of connect, bind and sendto, or in sendmsg's message. It is taken for that
# only if it is the same address and port. Where nobody finds it, the socket may be bound to one.
_SCOPE = """
#ifdef LOCKED_DOWN
static inline u32 scope_asked(u8 *to, u16 port) { return 0; }
#else
#define STACK 16384
#define FROM_USER(to, size, from) \\
    ((long (*)(void *, u32, const void *))BPF_FUNC_probe_read_user)((to), (size), (from))
static inline u32 scope_in(u64 name, u8 *to, u16 port) {
    struct { u16 family, port; u32 flow; u64 address[2]; u32 scope, unused; } found = {};
    u64 *asked = (u64 *)to;
    if (FROM_USER(&found, 28, (void *)name) || found.family != AF_INET6 || found.port != port)
        return 0;
    if (found.address[0] != asked[0] || found.address[1] != asked[1])
        return 0;
    return found.scope;
}
static inline u32 scope_asked(u8 *to, u16 port) {
    struct task_struct *task = (void *)bpf_get_current_task();
    u64 stack = 0, second, fifth, name;
    u32 scope = 0;
    PROBE_KERNEL(&stack, sizeof(stack), &task->stack);
#pragma unroll
    for (int padding = 0; padding <= 16; padding += 16) {
        struct pt_regs *regs = (void *)(stack + STACK - padding - sizeof(struct pt_regs));
        second = fifth = name = 0;
        PROBE_KERNEL(&second, sizeof(second), &PT_REGS_PARM2(regs));
        PROBE_KERNEL(&fifth, sizeof(fifth), &PT_REGS_PARM5(regs));
        scope = scope_in(second, to, port);
        if (!scope)
            scope = scope_in(fifth, to, port);
        if (!scope && !FROM_USER(&name, sizeof(name), (void *)second))
            scope = scope_in(name, to, port);
        if (scope)
            break;
    }
    return scope;
}
#endif
"""
OF_SOCK_ADDR = (
    _BOUND
    + _SCOPE
    + """
static inline void asked4(struct bpf_sock_addr *ctx, u8 *to) {
    mapped(to, READ(ctx->user_ip4));
}
static inline void asked6(struct bpf_sock_addr *ctx, u8 *to) {
    u32 *words = (u32 *)to;
    words[0] = READ(ctx->user_ip6[0]);
    words[1] = READ(ctx->user_ip6[1]);
    words[2] = READ(ctx->user_ip6[2]);
    words[3] = READ(ctx->user_ip6[3]);
    if (of_link(to)) {
        struct bpf_sock *sk = ctx->sk;
        u32 scope = scope_asked(to, READ(ctx->user_port));
        if (sk)
            on_link(to, scope ? scope : sk->bound_dev_if, netns_of(sk, READ(ctx->protocol)));
    }
}
"""
)
OF_SOCK_ADDR_TYPES = (*OF_SOCK_TYPES, "task_struct", "pt_regs")


def _ends(context: str) -> str:
    """struct bpf_sock_ops and struct sk_msg_md have the same fields for this."""
    words = "".join(
        f"        {side}[{i}] = READ(ctx->{side}_ip6[{i}]);\n"
        for side in ("local", "remote")
        for i in range(4)
    )
    return f"""
static inline void ends_of(struct {context} *ctx, u8 *laddr, u8 *raddr, u32 *lport, u32 *rport) {{
    u32 *local = (u32 *)laddr, *remote = (u32 *)raddr;
    if (READ(ctx->family) == AF_INET) {{
        mapped(laddr, READ(ctx->local_ip4));
        mapped(raddr, READ(ctx->remote_ip4));
    }} else {{
{words}        bound(ctx->sk, IPPROTO_TCP, laddr);
        bound(ctx->sk, IPPROTO_TCP, raddr);
    }}
    *lport = READ(ctx->local_port);
    *rport = bpf_ntohl(READ(ctx->remote_port));
}}
"""


OF_SOCK_OPS = _BOUND + _ends("bpf_sock_ops")
OF_SK_MSG = _ends("sk_msg_md")  # behind the one before

# A struct sock that the verifier knows the type of.
OF_SOCK = """
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
"""

# Which socket a file descriptor of the calling process stands for; by reading kernel memory.
OF_FD = """
static inline void *follow(void *from) {
    void *to = 0;
    bpf_probe_read_kernel(&to, sizeof(to), from);
    return to;
}
static inline struct socket *socket_of(u32 fd) {
    struct task_struct *task = (void *)bpf_get_current_task();
    struct files_struct *files = follow(&task->files);
    struct fdtable *table = follow(&files->fdt);
    struct file **fds = follow(&table->fd), *file = follow(&fds[fd]);
    return follow(&file->private_data);
}
static inline void link_of(struct sock *sk, u32 *ifindex, u32 *netns) {
    struct net *net = follow(&sk->__sk_common.skc_net.net);
    bpf_probe_read_kernel(ifindex, 4, &sk->__sk_common.skc_bound_dev_if);
    bpf_probe_read_kernel(netns, 4, &net->ns.inum);
}
static inline u32 protocol_of(struct socket *socket) {
    struct sock *sk = follow(&socket->sk);
    u16 protocol = 0;
    bpf_probe_read_kernel(&protocol, sizeof(protocol), &sk->sk_protocol);
    return protocol;
}
"""
OF_FD_TYPES = ("task_struct", "files_struct", "fdtable", "file", "socket", *OF_SOCK_TYPES)

# struct sockaddr_in: family, port, address; sockaddr_in6: family, port, flow, address, link. `name`
# is 28 bytes, taken from the user's memory; 0 where it is neither of both. ifindex, netns: what the
# socket is bound to, and where it is.
OF_NAME = """
static inline u16 named(char *name, u64 from, u32 length, u8 *to, u16 *port, u32 ifindex,
                        u32 netns) {
    bpf_probe_read_user(name, length < 24 ? 16 : length < 28 ? 24 : 28, (void *)from);
    *port = bpf_ntohs(*(u16 *)(name + 2));
    if (*(u16 *)name == AF_INET && length >= 16)
        mapped(to, *(u32 *)(name + 4));
    else if (*(u16 *)name == AF_INET6 && length >= 24) {
        __builtin_memcpy(to, name + 8, 16);
        if (length >= 28 && *(u32 *)(name + 24))
            ifindex = *(u32 *)(name + 24);
        on_link(to, ifindex, netns);
    } else
        return 0;
    return *(u16 *)name;
}
"""
