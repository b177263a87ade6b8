/* Times calls by thread. A call is known by its place on the stack, which is the same at its
 * beginning and at its end, so that no end is taken for another call's where one is missed
 * (docs/design/missed.md). What lies deeper on the same stack has ended.
 *
 * DEEPEST: how many calls within each other are timed, a power of two. STACK: no stack is larger;
 * what is farther apart is on several, as an interrupt's calls are. RETURNED: by how much the stack
 * is shorter when a call has returned. PLACE: what lies on a stack that the verifier knows (`ctx`
 * of a trampoline) as a number. */

struct calls { u64 number, deeper, place[DEEPEST], at[DEEPEST]; };
BPF_TABLE("hash", u64, struct calls, under_way, 10240);

/* The task: an execve() by a thread returns under another thread id than it was called by. */
static inline __attribute__((always_inline)) u64 this_thread(void) {
    return bpf_get_current_task();
}

static inline __attribute__((always_inline)) void begun(u64 place) {
    u64 thread = this_thread(), now = bpf_ktime_get_ns();
    struct calls none = {}, *mine = under_way.lookup_or_try_init(&thread, &none);
    u32 free = DEEPEST, elsewhere = DEEPEST;
    if (!mine) {
        not_counted();
        return;
    }
    mine->number = bpf_get_current_pid_tgid();
    place = PLACE(place, mine);
#pragma unroll
    for (int i = 0; i < DEEPEST; i++) {
        if (mine->at[i] && place - mine->place[i] < STACK) {
            mine->at[i] = 0;
            not_counted();
        }
        if (!mine->at[i])
            free = i;
        else if (mine->place[i] - place >= STACK)
            elsewhere = i;
    }
    if (free == DEEPEST && elsewhere < DEEPEST) {
        free = elsewhere;
        not_counted();
    }
    if (free == DEEPEST) {
        mine->deeper++;
        return;
    }
    mine->place[free & (DEEPEST - 1)] = place;
    mine->at[free & (DEEPEST - 1)] = now;
}

/* 0: the call began before the hook, or unseen. 1: counted, but nested too deep to be timed. */
static inline __attribute__((always_inline)) u64 ended(u64 place) {
    u64 thread = this_thread(), at = 0;
    struct calls *mine = under_way.lookup(&thread);
    if (!mine)
        return 0;
    place = PLACE(place, mine);
#pragma unroll
    for (int i = 0; i < DEEPEST; i++) {
        if (!mine->at[i] || place - mine->place[i] >= STACK)
            continue;
        if (place - mine->place[i] <= RETURNED)
            at = mine->at[i];
        else
            not_counted();
        mine->at[i] = 0;
    }
    if (at) {
        mine->deeper = 0;
        return bpf_ktime_get_ns() - at + 2;
    }
    if (!mine->deeper)
        return 0;
    mine->deeper--;
    return 1;
}
