/* A packet in an skb, for packets.h. Offsets count from the network header, which is set also
 * where no Ethernet header precedes it (tun, WireGuard). The kernel has already removed the
 * outermost VLAN tag; the length includes it. */

#define CONTEXT struct __sk_buff *ctx
#define LOAD(at, to) bpf_skb_load_bytes_relative(ctx, (at), &(to), sizeof(to), 1)
#define BEGIN(p) ((p)->ethertype = ctx->protocol, 0)
#define SENDER(mac) bpf_skb_load_bytes_relative(ctx, 6, (mac), 6, 0)
#define LENGTH (ctx->len + (ctx->vlan_present ? 4 : 0))
#define SEGMENTS (ctx->gso_segs ? ctx->gso_segs : 1)
#define IFINDEX ctx->ifindex
