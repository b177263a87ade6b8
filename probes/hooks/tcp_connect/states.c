/* Until the call returns (`sent`), what the socket goes through is the call's own affair: its
 * result says how it failed. Where only states are seen an attempt begins as sent, and the call
 * decides only what ends without an error of the socket's (`undecided`). A socket has a hash for
 * its packets once it has a port. */

static inline void moved(u64 sk, int new, int error, u32 hash) {
    struct attempt *attempt;
    if (new == TCP_ESTABLISHED)
        settle(sk, 0);
    if (new != TCP_CLOSE)
        return;
    attempt = pending.lookup(&sk);
    if (attempt && attempt->sent && (error || !undecided(sk)))
        settle(sk, error ? error : hash ? GAVE_UP : EADDRNOTAVAIL);
}
