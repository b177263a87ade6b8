int connect_enter(u64 *ctx) {
    struct calling call = {.to = ctx[3], .length = ctx[4]};
    u32 thread = bpf_get_current_pid_tgid();
    struct socket *socket = socket_of(ctx[2]);
    int state = 0;
    bpf_probe_read_kernel(&state, sizeof(state), &socket->state);
    u32 protocol = protocol_of(socket);
    link_of(follow(&socket->sk), &call.ifindex, &call.netns);
    if (state != 1 /* SS_UNCONNECTED */ || (protocol != IPPROTO_TCP && protocol != 262 /* MPTCP */))
        calls.delete(&thread); /* of an earlier call whose return was missed */
    else if (calls.update(&thread, &call))
        not_counted();
    return 0;
}

int connect_leave(u64 *ctx) {
    u32 thread = bpf_get_current_pid_tgid();
    struct calling *call = calls.lookup(&thread);
    struct attempt attempt = {};
    struct slot *slot, *all = sum_of_all();
    char to[28] = {};
    long error = -(long)ctx[2];
    if (!call)
        return 0;
    u64 sk = call->sk;
    u32 failed = call->failed;
    u16 family = named(to, call->to, call->length, attempt.raddr, &attempt.rport, call->ifindex,
                       call->netns);
    calls.delete(&thread);
    if (sk) {
        struct attempt *going = pending.lookup(&sk);
        if (failed)
            settle(sk, error > 0 && !restarts(-error) ? error : GAVE_UP);
        else if (going && !error) /* the SYN goes with the first write: TCP_FASTOPEN_CONNECT */
            going->deferred = 1;
        return 0;
    }
    /* EINVAL: a blackhole route. */
    if (error != ENETUNREACH && error != EHOSTUNREACH && error != EADDRNOTAVAIL &&
        error != EACCES && error != EPERM && error != EINVAL)
        return 0;
    if (!family)
        return 0;
    caller(&attempt);
    attempt.at = bpf_ktime_get_ns();
    slot = slot_of(&attempt);
    TALLY(slot, all, connects, 1);
    tally(&attempt, error);
    return 0;
}

static inline void started(u64 sk, struct attempt *attempt) {
    u32 thread = bpf_get_current_pid_tgid();
    struct calling *call = calls.lookup(&thread);
    if (call)
        call->sk = sk;
    caller(attempt);
    attempt->sent = 1;
    begin(sk, attempt);
}
