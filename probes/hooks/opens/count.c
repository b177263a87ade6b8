/* The name is read when the call returns: by then the kernel has read it, so it is in memory. */

static inline void begun(u64 path) {
    u64 thread = bpf_get_current_pid_tgid();
    if (calls.lookup(&thread))
        not_counted(); /* its end was missed */
    if (calls.update(&thread, &path))
        not_counted();
}

static inline void opened(u64 path, s64 result) {
    struct event event = {.pid = this_pid(), .result = result};
    struct who key = {.pid = event.pid};
    struct slot none = {}, *slot, *all = sum_of_all();
    if (restarts(result)) /* the call is restarted */
        return;
    bpf_probe_read_user_str(event.path, sizeof(event.path), (void *)path);
    this_name(event.comm);
    __builtin_memcpy(key.comm, event.comm, 16);
    slot = rows.lookup_or_try_init(&key, &none);
    if (slot)
        slot->cgroup = bpf_get_current_cgroup_id();
    TALLY(slot, all, opens, 1);
    if (result < 0) {
        TALLY(slot, all, failed, 1);
        if (slot)
            slot->error = -result;
    }
    log_event(&event);
}

/* 0: it began unseen. */
static inline u64 begun_by(u64 thread) {
    u64 *found = calls.lookup(&thread), path;
    if (!found)
        return 0;
    path = *found;
    calls.delete(&thread);
    return path;
}

static inline void ended(s64 result) {
    u64 path = begun_by(bpf_get_current_pid_tgid());
    if (path)
        opened(path, result);
}
