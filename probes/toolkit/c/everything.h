/* Counts each event in its row and in the sum of all rows, so that no count is lost with an
 * evicted row. SUM is the struct of counters. */

BPF_TABLE("percpu_array", u32, SUM, everything, 1);

static inline SUM *sum_of_all(void) {
    u32 first = 0;
    return everything.lookup(&first);
}

/* Adds to a row's counter, if the row has room, and to the sum of all rows (`others.Others`). */
#define TALLY(row, all, field, n) do { \
    if (row) \
        ADD(&(row)->field, (n)); \
    if (all) \
        ADD(&(all)->field, (n)); \
} while (0)
