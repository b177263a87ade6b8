/* The row is keyed by the socket's cookie, which sock_diag knows as well. */

struct slot {
    u8 laddr[24], raddr[24];
    u32 lport, rport, srtt_us, min_us, last_us, unused;
    u64 samples, retransmits, rtt[BUCKETS];
};
BPF_TABLE("hash", u64, struct slot, rows, 16384); /* until they are closed */

static inline void sampled(struct slot *slot, u32 us) {
    slot->last_us = us;
    slot->samples++;
    slot->rtt[bucket_of(us, BUCKETS)]++;
}
