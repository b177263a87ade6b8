"""The C that counts in a row and in the sum of all rows, so that evicted rows are not lost."""

from __future__ import annotations

EVERYTHING = """
BPF_TABLE("percpu_array", u32, SUM, everything, 1);

static inline SUM *sum_of_all(void) {
    u32 first = 0;
    return everything.lookup(&first);
}

/* Adds to a row's counter, if there is room for it, and to that of all rows (`readers.Others`). */
#define TALLY(row, all, field, n) do { \\
    if (row) \\
        ADD(&(row)->field, (n)); \\
    if (all) \\
        ADD(&(all)->field, (n)); \\
} while (0)
"""

UNCOUNTED = """
BPF_TABLE("percpu_array", u32, u64, uncounted, 1);

/* An event that is in no row, as a map was full (`readers.Uncounted`). */
static inline void not_counted(void) {
    u32 first = 0;
    u64 *events = uncounted.lookup(&first);
    if (events)
        *events += 1;
}
"""
"""For maps of pending events: they evict nothing, as that would be the event that waits longest."""


def everything(sum: str = "struct slot") -> str:
    """Return the C for a hook whose rows have the counters of this struct."""
    return EVERYTHING.replace("SUM", sum)
