/* Every packet is counted in `totals`, parsed or not. A long QUIC header has its two upper bits
 * set, a short one the second; anything else at port 443 is another protocol. */

struct kind {
    u32 ifindex;
    u16 ethertype;
    u8 protocol, application;
    u32 outward;
};
struct slot { u64 packets, bytes, looked_at; };
struct total { u64 seen, uncounted; };
struct one { u32 factor; };
BPF_TABLE("percpu_hash", struct kind, struct slot, rows, 4096);
BPF_TABLE("percpu_hash", u32, struct total, totals, 1024);
BPF_TABLE("hash", u32, struct one, factors, 1024);

static inline u8 application(CONTEXT, struct packet *p) {
    if (!p->ported)
        return 0;
    if ((p->protocol == 17 || p->protocol == 6) && (p->sport == 53 || p->dport == 53))
        return 1;
    if (p->protocol == 17 && (p->sport == 443 || p->dport == 443)) {
        u8 first = 0;
        if (!LOAD(p->payload, first) && (first & 0x40))
            return 2;
    }
    return 0;
}

static inline void look(CONTEXT, u32 outward) {
    u32 ifindex = IFINDEX;
    u64 segments = SEGMENTS, factor = 1;
    struct packet packet = {};
    struct total *total = totals.lookup(&ifindex);
    struct one *chosen = factors.lookup(&ifindex);
    struct kind kind = {.ifindex = ifindex, .outward = outward};
    struct slot none = {}, *slot;
    if (!total)
        return;
    total->seen += segments;
    if (chosen && chosen->factor > 1) {
        factor = chosen->factor;
        if (bpf_get_prandom_u32() & (factor - 1))
            return;
    }
    parse(ctx, &packet);
    kind.ethertype = bpf_ntohs(packet.ethertype);
    kind.protocol = packet.family ? packet.protocol : 0;
    kind.application = application(ctx, &packet);
    slot = rows.lookup_or_try_init(&kind, &none);
    if (!slot) {
        total->uncounted += segments * factor;
        return;
    }
    slot->packets += segments * factor;
    slot->bytes += LENGTH * factor;
    slot->looked_at += segments;
}
