/* Counts in a row and in the sum of all rows, so that nothing thrown out is missed. SUM: the
 * struct of counters. */

BPF_TABLE("percpu_array", u32, SUM, everything, 1);

static inline SUM *sum_of_all(void) {
    u32 first = 0;
    return everything.lookup(&first);
}

/* Adds to a row's counter, if there is room for it, and to that of all rows (`readers.Others`). */
#define TALLY(row, all, field, n) do { \
    if (row) \
        ADD(&(row)->field, (n)); \
    if (all) \
        ADD(&(all)->field, (n)); \
} while (0)
