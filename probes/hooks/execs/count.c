static inline int begun(u64 path) {
    u64 thread = bpf_get_current_pid_tgid();
    struct call call = {.path = path};
    this_name(call.comm);
    if (calls.update(&thread, &call))
        not_counted();
    return 0;
}
/* Fields after the 8 common bytes and the number: the arguments, or the result. */
int enter(u64 *ctx) { return begun(ctx[2]); }
int enter_at(u64 *ctx) { return begun(ctx[3]); }
int leave(u64 *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    struct call *call = calls.lookup(&thread);
    struct slot zero = {}, *slot, *all = sum_of_all();
    struct started key = {};
    s64 result = ctx[2];
    if (!call)
        return 0;
    __builtin_memcpy(key.comm, call->comm, 16);
    if (result < 0)
        bpf_probe_read_user_str(key.file, sizeof(key.file), (void *)call->path);
    else
        this_name(key.file);
    calls.delete(&thread);
    slot = rows.lookup_or_try_init(&key, &zero);
    TALLY(slot, all, calls, 1);
    if (slot) {
        slot->pid = this_pid();
        slot->cgroup = bpf_get_current_cgroup_id();
    }
    if (result < 0) {
        TALLY(slot, all, failed, 1);
        if (slot)
            slot->error = -result;
    }
    return 0;
}
