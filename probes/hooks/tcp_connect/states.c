/* Until the call returns (`sent`), the state of the socket decides nothing: the call's result
 * says how it failed. Where only states are seen, an attempt begins as sent, and the call decides
 * only attempts that end without a socket error (`undecided`). A socket has a transmit hash once
 * it has a port. */

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
