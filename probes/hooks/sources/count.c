/* A packet that is not IP has its sender's MAC address and its EtherType. `totals` counts all
 * packets of a target, also those whose row was evicted. */

struct from {
    u8 address[16];
    u32 ifindex;
    u16 protocol, port;
    u8 family, ported, zero[2];
};
struct slot { u64 packets, bytes, fragments; };
BPF_TABLE("lru_percpu_hash", struct from, struct slot, rows, MAX_ROWS);
BPF_TABLE("percpu_hash", u32, struct slot, totals, 1024);

static inline void count(CONTEXT) {
    struct packet packet = {};
    struct from key;
    u64 length = LENGTH, segments = SEGMENTS;
    u32 ifindex = IFINDEX;
    struct slot *total = totals.lookup(&ifindex);
    if (!total)
        return;
    parse(ctx, &packet);
    key.ifindex = ifindex;
    key.family = packet.family;
    key.ported = packet.ported;
    key.zero[0] = key.zero[1] = 0;
    key.port = packet.dport;
    key.protocol = packet.family ? packet.protocol : bpf_ntohs(packet.ethertype);
    __builtin_memcpy(key.address, packet.source, 16);
    if (!packet.family)
        SENDER(key.address);
    total->packets += segments;
    total->bytes += length;
    total->fragments += packet.fragment;
    struct slot one = {.packets = segments, .bytes = length}, *slot = rows.lookup(&key);
    one.fragments = packet.fragment;
    if (!slot) {
        rows.update(&key, &one);
        return;
    }
    slot->packets += segments;
    slot->bytes += length;
    slot->fragments += packet.fragment;
}
