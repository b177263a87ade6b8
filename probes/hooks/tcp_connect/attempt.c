#define GAVE_UP -1
/* in `sent`: no SYN yet; the attempt is counted once its address's link is known */
#define LATER 2
/* no SYN yet: the kernel's function has not returned */
#define CALLED 3

static inline struct slot *slot_of(struct attempt *attempt) {
    struct who key = {.pid = attempt->pid, .rport = attempt->rport};
    struct slot *slot;
    __builtin_memcpy(key.comm, attempt->comm, 16);
    __builtin_memcpy(key.raddr, attempt->raddr, 24);
    slot = row_of(&key);
    if (slot)
        slot->cgroup = attempt->cgroup;
    return slot;
}

/* The end of an attempt was missed: how it ended is not known. */
static inline void forget(u64 id) {
    if (!pending.delete(&id))
        miss(0);
}

static inline void begin(u64 id, struct attempt *attempt) {
    struct slot *slot = slot_of(attempt), *all = sum_of_all();
    forget(id);
    attempt->at = bpf_ktime_get_ns();
    if (attempt->sent != LATER)
        TALLY(slot, all, connects, 1);
    if (pending.update(&id, attempt))
        miss(0);
}

static inline void tally(struct attempt *attempt, int error) {
    struct slot *slot = slot_of(attempt), *all = sum_of_all();
    struct event event = {.pid = attempt->pid, .rport = attempt->rport, .error = error};
    event.ns = attempt->deferred ? 0 : bpf_ktime_get_ns() - attempt->at;
    __builtin_memcpy(event.comm, attempt->comm, 16);
    __builtin_memcpy(event.raddr, attempt->raddr, 24);
    if (!error) {
        u64 bucket = bucket_of(event.ns, 40);
        TALLY(slot, all, established, 1);
        if (!attempt->deferred) {
            TALLY(slot, all, total_ns, event.ns);
            TALLY(slot, all, latency[bucket], 1);
        }
    } else if (error == ECONNREFUSED) {
        TALLY(slot, all, refused, 1);
    } else if (error == EHOSTUNREACH || error == ENETUNREACH) {
        TALLY(slot, all, unreachable, 1);
    } else if (error == ETIMEDOUT) {
        TALLY(slot, all, timed_out, 1);
    } else if (error == GAVE_UP) {
        TALLY(slot, all, gave_up, 1);
    } else if (error == EADDRNOTAVAIL) {
        TALLY(slot, all, no_port, 1);
    } else {
        TALLY(slot, all, other, 1);
    }
    if (slot && error > 0)
        slot->error = error;
    log_event(&event);
}

static inline void settle(u64 id, int error) {
    struct attempt *found = pending.lookup(&id), attempt;
    if (!found)
        return;
    attempt = *found;
    pending.delete(&id);
    tally(&attempt, error);
}

static inline void caller(struct attempt *attempt) {
    attempt->pid = this_pid();
    this_name(attempt->comm);
    attempt->cgroup = bpf_get_current_cgroup_id();
}
