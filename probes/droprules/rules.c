/* A rule is written with a deadline of 0, which has passed, and gets its own last: no packet is
 * compared with half a rule. A rule with a source has one family; so has a connection, though
 * addresses of both are compared as 16 bytes. A fragment has no ports; the connection has an
 * entry without them for it. Carriers of sessions (mosh, a tunnel's outer packets) have entries
 * without our address, and those of roaming users without the peer's address and without a
 * family. */

struct rule {
    u64 deadline;
    u32 source[4], mask[4], family, protocol, port, zero;
};
struct hit { u64 packets, bytes; };
struct peer { u32 from[4], to[4], sport, dport, protocol, family; };
struct yes { u32 kept; };
BPF_TABLE("array", u32, struct rule, rules, MAX_RULES);
BPF_TABLE("percpu_array", u32, struct hit, hits, MAX_RULES);
BPF_TABLE("array", u32, u32, used, 2);
BPF_F_TABLE("hash", struct peer, struct yes, peers, MOST_PEERS, 1 /* BPF_F_NO_PREALLOC */);

static inline int matches(struct rule *rule, struct packet *packet, u64 now) {
    if (rule->deadline <= now)
        return 0;
    if (rule->family && rule->family != packet->family)
        return 0;
    if (rule->protocol != ANY_PROTOCOL && rule->protocol != packet->protocol)
        return 0;
    if (rule->port && (!packet->ported || rule->port != packet->dport))
        return 0;
    return (packet->source[0] & rule->mask[0]) == rule->source[0] &&
           (packet->source[1] & rule->mask[1]) == rule->source[1] &&
           (packet->source[2] & rule->mask[2]) == rule->source[2] &&
           (packet->source[3] & rule->mask[3]) == rule->source[3];
}

/* Packets that a host needs are never dropped, as the connections to be spared depend on them:
 * neighbour discovery with its inverse and secure kinds, and MLD, from which switches learn their
 * receivers (RFC 4861, 3122, 3971, 2710, 3810, 4286); DHCP's and DHCPv6's answers to the client, by
 * which the host keeps its address. ARP is not IP, so no rule matches it. */
static inline int needed(struct packet *packet) {
    u8 type = packet->type;
    if (packet->protocol == 58)
        return (type >= 130 && type <= 137) || (type >= 141 && type <= 143) ||
               (type >= 148 && type <= 149) || (type >= 151 && type <= 153);
    return packet->protocol == 17 && packet->ported &&
           packet->dport == (packet->family == 4 ? 68 : 546);
}

static inline int kept(struct packet *packet) {
    struct peer peer = {.protocol = packet->protocol, .family = packet->family};
    u32 ends = 1, *some = used.lookup(&ends);
    int carried = some && *some;
    if (needed(packet))
        return 1;
    if (packet->protocol != 6 && !carried)
        return 0;
    __builtin_memcpy(peer.from, packet->source, 16);
    __builtin_memcpy(peer.to, packet->destination, 16);
    if (packet->ported) {
        peer.sport = packet->sport;
        peer.dport = packet->dport;
    }
    if (peers.lookup(&peer))
        return 1;
    if (!carried)
        return 0;
    __builtin_memset(peer.to, 0, 16);
    peer.sport = 0;
    if (peers.lookup(&peer))
        return 1;
    __builtin_memset(peer.from, 0, 16);
    peer.family = 0;
    return peers.lookup(&peer) != 0;
}

static inline int dropped(CONTEXT) {
    struct packet packet = {};
    u32 zero = 0, *end = used.lookup(&zero);
    if (!end || !*end)
        return 0;
    parse(ctx, &packet);
    if (!packet.family)
        return 0;
    u64 now = bpf_ktime_get_ns();
    for (u32 i = 0; i < MAX_RULES; i++) {
        u32 slot = i;
        if (slot >= *end)
            return 0;
        struct rule *rule = rules.lookup(&slot);
        if (!rule || !matches(rule, &packet, now))
            continue;
        if (kept(&packet))
            return 0;
        struct hit *hit = hits.lookup(&slot);
        if (hit) {
            hit->packets += SEGMENTS;
            hit->bytes += LENGTH;
        }
        return 1;
    }
    return 0;
}
