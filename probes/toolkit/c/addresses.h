/* An address is 16 bytes, an IPv4 one as ::ffff:a.b.c.d, then 8 bytes for the link of a link-
 * local one: interface and network namespace, 0 where unknown. */

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
