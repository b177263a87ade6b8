/* Parses a packet: sender, protocol, destination. An address is 16 bytes, an IPv4 one as
 * ::ffff:a.b.c.d. CONTEXT, LOAD and BEGIN come from packets_xdp.h or packets_skb.h. */

struct packet {
    u32 source[4], destination[4];
    u16 ethertype, sport, dport, payload;
    u8 family, protocol, ported, fragment, type;
};
struct ip4 {
    u8 words, tos;
    u16 length, id, offset;
    u8 ttl, protocol;
    u16 check;
    u32 from, to;
};
struct ip6 {
    u32 flow;
    u16 length;
    u8 next, hops;
    u32 from[4], to[4];
};
struct tag { u16 tci, type; };
struct ports { u16 source, destination; };
struct part {
    u8 next, reserved;
    u16 offset;
    u32 id;
};
struct option { u8 next, words; };

/* 802.1Q and QinQ: up to three tags, besides those that a device removed. */
static inline u64 untag(CONTEXT, u64 at, struct packet *p) {
    struct tag tag;
#pragma unroll
    for (int i = 0; i < 3; i++) {
        u16 type = bpf_ntohs(p->ethertype);
        if ((type != 0x8100 && type != 0x88a8 && type != 0x9100) || LOAD(at, tag))
            break;
        p->ethertype = tag.type;
        at += 4;
    }
    return at;
}

/* The offset of IP's payload; 0 if it is not in this packet. */
static inline u64 parse_ip4(CONTEXT, u64 at, struct packet *p) {
    struct ip4 ip;
    if (LOAD(at, ip) || (ip.words & 15) < 5)
        return 0;
    p->family = 4;
    p->protocol = ip.protocol;
    p->source[2] = p->destination[2] = bpf_htonl(0xffff);
    p->source[3] = ip.from;
    p->destination[3] = ip.to;
    p->fragment = (bpf_ntohs(ip.offset) & 0x3fff) != 0;
    if (bpf_ntohs(ip.offset) & 0x1fff)
        return 0;
    return at + (ip.words & 15) * 4;
}

/* Skips up to six extension headers; beyond that the protocol is the next header's number. */
static inline u64 parse_ip6(CONTEXT, u64 at, struct packet *p) {
    struct ip6 ip;
    struct part part;
    struct option option;
    if (LOAD(at, ip))
        return 0;
    p->family = 6;
    p->protocol = ip.next;
    __builtin_memcpy(p->source, ip.from, 16);
    __builtin_memcpy(p->destination, ip.to, 16);
    at += sizeof(ip);
#pragma unroll
    for (int i = 0; i < 6; i++) {
        u8 next = p->protocol;
        if (next == 44) {
            if (LOAD(at, part))
                return 0;
            p->protocol = part.next;
            p->fragment = (bpf_ntohs(part.offset) & 0xfff9) != 0;
            if (bpf_ntohs(part.offset) & 0xfff8)
                return 0;
            at += 8;
        } else if (next == 0 || next == 43 || next == 60 || next == 51) {
            if (LOAD(at, option))
                return 0;
            p->protocol = option.next;
            at += next == 51 ? (option.words + 2) * 4 : (option.words + 1) * 8;
        } else {
            break;
        }
    }
    return at;
}

static inline void parse(CONTEXT, struct packet *p) {
    struct ports ports;
    u64 at = BEGIN(p);
    if (!at && !p->ethertype)
        return;
    at = untag(ctx, at, p);
    switch (bpf_ntohs(p->ethertype)) {
    case 0x0800:
        at = parse_ip4(ctx, at, p);
        break;
    case 0x86dd:
        at = parse_ip6(ctx, at, p);
        break;
    default:
        return;
    }
    if (!at)
        return;
    u8 protocol = p->protocol;
    if (protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136) {
        if (LOAD(at, ports))
            return;
        p->ported = 1;
        p->sport = bpf_ntohs(ports.source);
        p->dport = bpf_ntohs(ports.destination);
        p->payload = at + 8; /* UDP's */
    } else if (protocol == 58) {
        u8 type;
        if (!LOAD(at, type))
            p->type = type;
    }
}
