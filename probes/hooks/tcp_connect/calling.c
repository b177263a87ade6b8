/* A connect that has no route changes no state; only the call shows it. Which socket the call is
 * for is found by its file descriptor; one that is connecting already only asks for the outcome
 * of an attempt that was counted before. What gets as far as SYN_SENT (`sk`) and is closed within
 * the call, without an error of the socket's, never sent a SYN: no port was left, or it was
 * refused. */

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
