/* Until the call returns (`sent`), the state of the socket decides nothing: the call's result
 * says how it failed. Where only states are seen, an attempt begins as sent, and the call decides
 * only attempts that end without a socket error (`undecided`). A socket has a transmit hash once
 * it has a port.
 *
 * Any of these may be missed (docs/design/missed.md). What is found at the address of a socket is
 * the attempt of an earlier one, unless the inode is the same; a socket is orphaned only after it
 * has left SYN_SENT, so one without an inode has none of ours. (MPTCP orphans its sockets before.)
 */

static inline int is_another(struct attempt *attempt, u64 number, int new) {
    if (!attempt->socket || attempt->socket == number)
        return 0;
    return number || new != TCP_CLOSE;
}

static inline int opens(int state) { return state == TCP_SYN_SENT || state == TCP_SYN_RECV; }

static inline void moved(struct sock *sk, u64 id, int old, int new, int error, u32 hash) {
    struct attempt *attempt = pending.lookup(&id);
    if (!attempt || new == TCP_SYN_SENT)
        return;
    if (old == TCP_CLOSE || old == TCP_LISTEN || is_another(attempt, number_of(sk), new)) {
        forget(id);
    } else if (!opens(old)) { /* it was established unseen: nobody knows when */
        attempt->deferred = 1;
        settle(id, 0);
    } else if (new == TCP_ESTABLISHED) {
        settle(id, 0);
    } else if (new != TCP_SYN_RECV && (attempt->sent == 1 || error) && (error || !undecided(id))) {
        settle(id, error ? error : hash ? GAVE_UP : EADDRNOTAVAIL);
    }
}
