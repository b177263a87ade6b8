/* One call per thread is pending: where two programs run at one function, the second finds it
 * begun, or already counted. A look-up within another one, or after one that never returned (its
 * thread was cancelled within), takes its place; on some machines, the stack is 8 bytes shorter
 * when a call has returned. */

int lookup(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    struct asked asked = {.at = bpf_ktime_get_ns()}, *before = under_way.lookup(&thread);
    asked.place = PT_REGS_SP(ctx);
    if (before && before->place != asked.place)
        not_counted();
    bpf_probe_read_user_str(asked.host, sizeof(asked.host), (void *)PT_REGS_PARM1(ctx));
    if (under_way.update(&thread, &asked))
        not_counted();
    return 0;
}

int answer(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    struct asked *asked = under_way.lookup(&thread);
    struct event event = {.error = -(s64)(int)PT_REGS_RC(ctx)};
    struct who key = {};
    struct slot *slot, *all = sum_of_all();
    if (!asked || PT_REGS_SP(ctx) - asked->place > 8)
        return 0;
    event.ns = bpf_ktime_get_ns() - asked->at;
    __builtin_memcpy(event.host, asked->host, 64);
    __builtin_memcpy(key.host, asked->host, 64);
    under_way.delete(&thread);
    event.pid = key.pid = this_pid();
    this_name(event.comm);
    __builtin_memcpy(key.comm, event.comm, 16);
    slot = row_of(&key);
    if (slot)
        slot->cgroup = bpf_get_current_cgroup_id();
    u64 bucket = bucket_of(event.ns, 40);
    TALLY(slot, all, lookups, 1);
    TALLY(slot, all, total_ns, event.ns);
    TALLY(slot, all, latency[bucket], 1);
    if (event.error) {
        TALLY(slot, all, failed, 1);
        if (slot)
            slot->error = event.error;
    }
    log_event(&event);
    return 0;
}
