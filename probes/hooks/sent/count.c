static inline void sent(u64 protocol, int result) {
    if (restarts(result)) /* a signal interrupted it: the call is restarted */
        return;
    struct who key = {.pid = this_pid(), .protocol = protocol};
    struct slot none = {}, *slot, *all = sum_of_all();
    this_name(key.comm);
    slot = rows.lookup_or_try_init(&key, &none);
    /* A task may be preempted here by another on the same CPU. */
    TALLY(slot, all, sends, 1);
    if (result < 0)
        TALLY(slot, all, failed, 1);
    else
        TALLY(slot, all, bytes, result);
}

static inline int counts(u16 family, u16 protocol) {
    return (family == AF_INET || family == AF_INET6) &&
           (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP);
}
