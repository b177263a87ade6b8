/* A log of `struct event`, which the reader drains. `lost` counts the entries that it had no room
 * for last, and before them what else a hook may miss. */

BPF_ARRAY(lost, u64, LOST);
BPF_QUEUE(events, struct event, EVENTS);

static inline void miss(u32 what) {
    u64 *missed = lost.lookup(&what);
    if (missed)
        ADD(missed, 1);
}

static inline void log_event(struct event *event) {
    if (events.push(event, 0))
        miss(LOST - 1);
}
