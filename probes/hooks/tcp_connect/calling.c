/* A connect without a route changes no state; only the call shows it. The socket is found by its
 * file descriptor. A call on a socket that is already connecting only asks for the outcome of an
 * attempt that has been counted. An attempt that reaches SYN_SENT (`sk`) and is closed within the
 * call, without a socket error, never sent a SYN: no port was left, or it was refused. */

struct calling {
    u64 to, sk;
    u32 length, failed, ifindex, netns;
};
BPF_TABLE("hash", u32, struct calling, calls, 4096);

static inline int undecided(u64 sk) {
    u32 thread = bpf_get_current_pid_tgid();
    struct calling *call = calls.lookup(&thread);
    if (!call || call->sk != sk)
        return 0;
    call->failed = 1;
    return 1;
}
