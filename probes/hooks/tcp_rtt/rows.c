/* The key is the socket's cookie, which sock_diag reports as well. */

struct slot {
    u8 laddr[24], raddr[24];
    u32 lport, rport, srtt_us, min_us, last_us, unused;
    u64 samples, retransmits, sent, rtt[BUCKETS];
};
BPF_TABLE("hash", u64, struct slot, rows, 16384); /* until the socket is closed */

static inline struct slot *added(u64 *cookie, struct slot *now) {
    rows.insert(cookie, now);
    struct slot *slot = rows.lookup(cookie);
    if (!slot)
        not_counted();
    return slot;
}

static inline void sampled(struct slot *slot, u32 us) {
    slot->last_us = us;
    slot->samples++;
    slot->rtt[bucket_of(us, BUCKETS)]++;
}
