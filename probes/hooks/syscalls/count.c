/* One slot for each number of the machine's own table. Calls through other tables (32-bit, x32)
 * are rare and have a map of their own, as do errnos. */

struct slot { u64 calls, errors, total_ns, latency[40]; };
BPF_PERCPU_ARRAY(rows, struct slot, SLOTS);
BPF_TABLE("percpu_hash", u32, struct slot, foreign, 256);
BPF_TABLE("percpu_array", u32, struct slot, blank, 1);
struct failure { u32 id, error; };
struct failures { u64 times; };
BPF_TABLE("lru_percpu_hash", struct failure, struct failures, errnos, 2048);

static inline struct slot *foreign_slot(u32 *id) {
    u32 first = 0;
    struct slot *slot = foreign.lookup(id), *zero = blank.lookup(&first);
    if (slot || !zero)
        return slot;
    foreign.insert(id, zero);
    slot = foreign.lookup(id);
    if (slot)
        return slot;
    *id = OTHER; /* the map is full */
    return rows.lookup(id);
}

static inline void count(u32 id, u64 ns, long result, int timed) {
    struct slot *slot = id < SLOTS ? rows.lookup(&id) : foreign_slot(&id);
    if (!slot)
        return;
    slot->calls++;
    if (timed) {
        slot->total_ns += ns;
        slot->latency[bucket_of(ns, 40)]++;
    }
    if (result < 0 && result >= -4095) {
        struct failure what = {.id = id, .error = -result};
        struct failures once = {.times = 1}, *seen = errnos.lookup(&what);
        slot->errors++;
        if (seen)
            seen->times++;
        else
            errnos.update(&what, &once);
    }
}
