BPF_TABLE("percpu_array", u32, u64, uncounted, 1);

/* Counts events that are in no row because a map was full (`readers.Uncounted`). */
static inline void not_counted_all(u64 n) {
    u32 first = 0;
    u64 *events = uncounted.lookup(&first);
    if (events)
        *events += n;
}
static inline void not_counted(void) { not_counted_all(1); }
