/* The kernel has not checked the call yet: it may fail. struct user_msghdr: msg_name,
 * msg_namelen. */

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
    struct {
        u64 name;
        u32 length, unused;
    } to = {};
    bpf_probe_read_user(&to, sizeof(to), (void *)message);
    called(2, fd, to.name, to.length);
}
