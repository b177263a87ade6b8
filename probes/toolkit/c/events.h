/* A log of `struct event`, which the reader drains: a hash rather than a queue, from which each
 * entry would be a call of its own. A program that interrupts another one on the same CPU in the
 * same nanosecond has the same key; then the entry is lost, as it is where the log is full. `lost`
 * counts those last, and before them what else a hook may miss. */

struct logged {
    u64 logged_ns;
    u32 logged_cpu, zero_logged;
};

BPF_ARRAY(lost, u64, LOST);
BPF_TABLE("hash", struct logged, struct event, events, EVENTS);

static inline void miss(u32 what) {
    u64 *missed = lost.lookup(&what);
    if (missed)
        ADD(missed, 1);
}

static inline void log_event(struct event *event) {
    struct logged at = {.logged_ns = bpf_ktime_get_ns()};
    at.logged_cpu = bpf_get_smp_processor_id();
    if (events.insert(&at, event))
        miss(LOST - 1);
}
