/* Rows too large for the stack: a new one is copied from `blank`, to which nothing writes. ROW_KEY
 * is the type of a row's key. */

BPF_TABLE("array", u32, struct slot, blank, 1);

/* The row of a key, all zero if it is new; 0 where the map is full. Smaller rows need no more than
 * rows.lookup_or_try_init(&key, &zero). */
static inline struct slot *row_of(ROW_KEY *key) {
    u32 first = 0;
    struct slot *row = rows.lookup(key), *zero;
    if (row || !(zero = blank.lookup(&first)))
        return row;
    rows.insert(key, zero);
    return rows.lookup(key);
}
