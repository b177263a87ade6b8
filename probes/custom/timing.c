/* Times calls by thread. DEEPEST: the depth of nested calls that are timed, a power of two. */

struct calls { u64 number, depth, at[DEEPEST]; };
BPF_TABLE("hash", u64, struct calls, under_way, 10240);

/* The task: an execve() by a thread returns under another thread id than it was called by. */
static inline __attribute__((always_inline)) u64 this_thread(void) {
    return bpf_get_current_task();
}

static inline __attribute__((always_inline)) void begun(void) {
    u64 thread = this_thread(), now = bpf_ktime_get_ns();
    struct calls none = {}, *mine = under_way.lookup_or_try_init(&thread, &none);
    if (!mine) {
        not_counted();
        return;
    }
    mine->number = bpf_get_current_pid_tgid();
    if (mine->depth < DEEPEST)
        mine->at[mine->depth & (DEEPEST - 1)] = now;
    mine->depth++;
}

/* 0: the call began before the hook. 1: counted, but nested too deep to be timed. */
static inline __attribute__((always_inline)) u64 ended(void) {
    u64 thread = this_thread();
    struct calls *mine = under_way.lookup(&thread);
    if (!mine || !mine->depth)
        return 0;
    mine->depth--;
    if (mine->depth >= DEEPEST)
        return 1;
    return bpf_ktime_get_ns() - mine->at[mine->depth & (DEEPEST - 1)] + 2;
}
