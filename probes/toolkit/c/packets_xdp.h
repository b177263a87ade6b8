/* A packet at XDP, for packets.h. Offsets count from the packet's first byte. Headers that end
 * beyond 1 kB are not parsed. */

static inline int load(struct xdp_md *ctx, u64 at, void *to, const u64 size) {
    if (at > 1023)
        return -1;
    u8 *from = (u8 *)(long)ctx->data + at;
    if (from + size > (u8 *)(long)ctx->data_end)
        return -1;
    __builtin_memcpy(to, from, size);
    return 0;
}
#define CONTEXT struct xdp_md *ctx
#define LOAD(at, to) load(ctx, (at), &(to), sizeof(to))
#define BEGIN(p) (LOAD(12, (p)->ethertype) ? 0 : 14)
#define SENDER(mac) load(ctx, 6, (mac), 6)
#define LENGTH ((long)ctx->data_end - (long)ctx->data)
#define SEGMENTS 1
#define IFINDEX ctx->ingress_ifindex
