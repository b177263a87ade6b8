/* The name is read when the call returns: by then the kernel has read it, so it is in memory. */

static inline void begun(u64 path) {
    u64 thread = bpf_get_current_pid_tgid();
    if (calls.update(&thread, &path))
        not_counted();
}

static inline void ended(s64 result) {
    u64 thread = bpf_get_current_pid_tgid(), *path = calls.lookup(&thread);
    struct event event = {.pid = this_pid(), .result = result};
    struct who key = {.pid = event.pid};
    struct slot none = {}, *slot, *all = sum_of_all();
    if (!path)
        return;
    if (restarts(result)) { /* the call is restarted */
        calls.delete(&thread);
        return;
    }
    bpf_probe_read_user_str(event.path, sizeof(event.path), (void *)*path);
    calls.delete(&thread);
    this_name(event.comm);
    __builtin_memcpy(key.comm, event.comm, 16);
    slot = rows.lookup_or_try_init(&key, &none);
    TALLY(slot, all, opens, 1);
    if (result < 0) {
        TALLY(slot, all, failed, 1);
        if (slot)
            slot->error = -result;
    }
    log_event(&event);
}
