/* Times system calls. The key is the task, not its thread id: an execve() by a thread ends under
 * its leader's id, and a later thread with the same id must not end what an earlier one began. */

#define SKIPPED 1 /* in `at`: a call left out of the sample */
struct begin {
    u64 at;
    u32 id, restart;
};
BPF_TABLE("hash", u64, struct begin, begun, 16384);

/* The number, marked with its table. */
static inline u32 call_of(u32 nr, int compat) {
    if (compat)
        return nr < OTHER ? nr | COMPAT : OTHER;
    if (ON_X86 && (nr & X32) && nr != -1u)
        return (nr & ~X32) < X32_NUMBERS ? nr : OTHER;
    return nr < OTHER ? nr : OTHER;
}
static inline int ends_thread(u32 nr, int compat) {
    return compat ? nr == 1 || nr == 252 : nr == EXIT || nr == EXIT_GROUP;
}
static inline int forks(u32 nr, int compat) {
    if (compat)
        return nr == 2 || nr == 120 || nr == 190 || nr == 435;
    return (ON_X86 && (nr == 57 || nr == 58)) || nr == CLONE || nr == CLONE3;
}
static inline int begins_again(u32 nr, int compat) { return compat ? nr == 0 : nr == RESTART; }

/* Whether a call that ends is another than the one that began: its end was missed. Signal handlers
 * return by no number; an execve may change the table of calls. */
static inline int is_other(u32 id, u32 nr) {
    int compat;
    if (nr == id || nr == -1u || (ON_X86 && nr & X32))
        return 0;
    compat = is_compat();
    return !begins_again(nr, compat) && compat == !!(id & COMPAT) && call_of(nr, compat) != id;
}

static inline void entered(u32 nr) {
    u64 task = bpf_get_current_task();
    struct begin now = {}, *mine;
    int compat, again = nr == 0 || nr == RESTART;
    if (UNWANTED(nr) && !again)
        return;
    compat = is_compat();
    again = begins_again(nr, compat);
    now.id = call_of(nr, compat);
    if (!WANTED(now.id) && !again)
        return;
    mine = begun.lookup(&task);
    if (mine && !mine->restart && mine->at > SKIPPED)
        not_counted(); /* its end was missed */
    if (mine && mine->restart && (again || mine->id == now.id)) {
        mine->restart = 0;
        if (mine->at)
            return;
        now.id = mine->id;
    }
    if (!WANTED(now.id))
        return;
    now.at = LEFT_OUT ? SKIPPED : bpf_ktime_get_ns();
    if (ends_thread(nr, compat)) {
        if (now.at != SKIPPED)
            count(now.id, 0, 0, 0);
        return;
    }
    if (mine)
        *mine = now;
    else
        begun.update(&task, &now);
}

static inline void settled(u32 id, u64 at, long result) {
    if (at == SKIPPED || (!at && LEFT_OUT))
        return;
    count(id, at ? bpf_ktime_get_ns() - at : 0, result, at != 0);
}

static inline void left(u32 nr, long result) {
    u64 task = bpf_get_current_task(), at = 0;
    struct begin *mine = begun.lookup(&task), none = {};
    if (mine && !mine->restart && mine->at && is_other(mine->id, nr)) {
        if (mine->at > SKIPPED)
            not_counted();
        mine->at = 0;
    }
    if (mine && !mine->restart && mine->at) {
        at = mine->at;
        none.id = mine->id;
    } else {
        if (UNWANTED(nr))
            return;
        int compat = is_compat();
        none.id = call_of(nr, compat);
        if (!WANTED(none.id))
            return;
        /* A new task's first return: from fork, or of a task that the kernel starts (number 0). */
        if (!result && (forks(nr, compat) || !nr))
            return;
        if (nr == -1u && result >= 0)
            return;
    }
    if (restarts(result)) {
        none.restart = -result;
        if (mine && at)
            mine->restart = none.restart;
        else
            begun.update(&task, &none);
        return;
    }
    if (mine && at)
        mine->at = 0;
    settled(none.id, at, result);
}

/* A signal handler runs: the interrupted call ends with EINTR, or restarts after it. */
static inline void signalled(u64 handler, u64 flags) {
    u64 task = bpf_get_current_task(), at;
    struct begin *mine = begun.lookup(&task);
    u32 code;
    if (!mine || !mine->restart || handler <= 1 /* SIG_DFL, SIG_IGN */)
        return;
    code = mine->restart;
    at = mine->at;
    mine->restart = 0;
    mine->at = 0;
    if (code == ERESTARTNOHAND || code == ERESTART_RESTARTBLOCK ||
        (code == ERESTARTSYS && !(flags & 0x10000000 /* SA_RESTART */)))
        settled(mine->id, at, -EINTR);
}

static inline int ended(void) {
    u64 task = bpf_get_current_task();
    begun.delete(&task);
    return 0;
}
