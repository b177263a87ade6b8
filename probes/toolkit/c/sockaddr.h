/* struct sockaddr_in: family, port, address. sockaddr_in6: family, port, flow, address, link.
 * `name` receives up to 28 bytes of the user's memory; the result is 0 if it is neither. ifindex
 * and netns: what the socket is bound to, and its namespace. */

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
