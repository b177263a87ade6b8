"""The C that counts which addresses processes name to the kernel: connect, bind, sendmsg.

Programs at cgroups see every way to ask. Those at system calls see the usual ones.
"""

from __future__ import annotations

from probes.kernel import syscall_table
from probes.point import AttachType
from probes.toolkit.sockets_c import (
    MAPPED,
    OF_FD,
    OF_FD_TYPES,
    OF_NAME,
    OF_SOCK_ADDR,
    OF_SOCK_ADDR_TYPES,
)
from probes.toolkit.syscalls_c import compat
from probes.toolkit.who_c import WHO, WHO_AT_CGROUP

OPERATIONS = ("connect", "bind", "sendmsg", "recvmsg", "getpeername")
TYPES = (*OF_FD_TYPES, *OF_SOCK_ADDR_TYPES, "thread_info")
MOST = 8192

_CORE = (
    MAPPED
    + f"""
struct who {{
    u64 cgroup;
    u32 pid, protocol;
    u16 port, family;
    u32 op;
    char comm[16];
    u8 address[24];
}};
BPF_TABLE("lru_hash", struct who, u64, rows, {MOST});
BPF_TABLE("percpu_array", u32, u64, everything, 1);

static inline void count(struct who *who) {{
    u32 first = 0;
    u64 *calls, *all = everything.lookup(&first), zero = 0;
    who->pid = this_pid();
    this_name(who->comm);
    who->cgroup = bpf_get_current_cgroup_id();
    calls = rows.lookup_or_try_init(who, &zero);
    if (calls)
        ADD(calls, 1);
    if (all)
        ADD(all, 1);
}}
"""
)

_PLACES = {
    "connect": ("CGROUP_INET4_CONNECT", "CGROUP_INET6_CONNECT"),
    "bind": ("CGROUP_INET4_BIND", "CGROUP_INET6_BIND"),
    "sendmsg": ("CGROUP_UDP4_SENDMSG", "CGROUP_UDP6_SENDMSG"),
    "recvmsg": ("CGROUP_UDP4_RECVMSG", "CGROUP_UDP6_RECVMSG"),
    "getpeername": ("CGROUP_INET4_GETPEERNAME", "CGROUP_INET6_GETPEERNAME"),
}
PLACES = {
    f"{op}{version}": AttachType[name]
    for op, names in _PLACES.items()
    for version, name in zip((4, 6), names, strict=True)
}
"""Each program at a cgroup, and where it sits."""

AT_CGROUP = (
    WHO_AT_CGROUP
    + _CORE
    + OF_SOCK_ADDR
    + """
static inline int seen_at(struct bpf_sock_addr *ctx, struct who *who, u32 op) {
    who->op = op;
    who->protocol = READ(ctx->protocol);
    who->family = READ(ctx->user_family);
    /* a peer that came to us has another port each time: too many rows, and they tell nothing */
    who->port = op < 3 ? bpf_ntohs(READ(ctx->user_port)) : 0;
    count(who);
    return 1;
}
"""
    + "".join(
        f"int {name}(struct bpf_sock_addr *ctx) {{ struct who who = {{}}; "
        f"asked{name[-1]}(ctx, who.address); "
        f"return seen_at(ctx, &who, {OPERATIONS.index(name[:-1])}); }}\n"
        for name in PLACES
    )
)

# The call has not been looked at by then: it may fail. struct user_msghdr: msg_name, msg_namelen.
_CALLED = (
    OF_FD
    + OF_NAME
    + """
static inline void called(u32 op, u32 fd, u64 to, u32 length) {
    struct who who = {.op = op};
    char name[28] = {};
    if (!to || length < 16)
        return;
    struct socket *socket = socket_of(fd);
    u32 ifindex = 0, netns = 0;
    link_of(follow(&socket->sk), &ifindex, &netns);
    who.family = named(name, to, length, who.address, &who.port, ifindex, netns);
    if (!who.family)
        return;
    who.protocol = protocol_of(socket);
    count(&who);
}
static inline void called_with(u32 fd, u64 message) {
    struct { u64 name; u32 length, unused; } to = {};
    bpf_probe_read_user(&to, sizeof(to), (void *)message);
    called(2, fd, to.name, to.length);
}
"""
)

AT_CALLS = (
    WHO
    + _CORE
    + _CALLED
    + """
int connect(u64 *ctx) { called(0, ctx[2], ctx[3], ctx[4]); return 0; }
int bind(u64 *ctx) { called(1, ctx[2], ctx[3], ctx[4]); return 0; }
int sendto(u64 *ctx) { called(2, ctx[2], ctx[6], ctx[7]); return 0; }
int sendmsg(u64 *ctx) { called_with(ctx[2], ctx[3]); return 0; }
"""
)

_EVERY_CALL = f"""
int enter(u64 *ctx) {{
    struct pt_regs *regs = ARG(ctx, 0, struct pt_regs *);
    u32 call = ctx[1];
    if (call != {syscall_table.number("connect")} && call != {syscall_table.number("bind")} &&
        call != {syscall_table.number("sendto")} && call != {syscall_table.number("sendmsg")})
        return 0;
    if (is_compat())
        return 0;
    u64 fd = PT_REGS_PARM1(regs), to = PT_REGS_PARM2(regs);
    if (call == {syscall_table.number("connect")})
        called(0, fd, to, PT_REGS_PARM3(regs));
    else if (call == {syscall_table.number("bind")})
        called(1, fd, to, PT_REGS_PARM3(regs));
    else if (call == {syscall_table.number("sendto")})
        called(2, fd, PT_REGS_PARM5(regs), PT_REGS_PARM6(regs));
    else
        called_with(fd, to);
    return 0;
}}
"""


def at_every_call(_: str = "") -> str:
    return WHO + _CORE + _CALLED + compat(typed=True) + _EVERY_CALL
