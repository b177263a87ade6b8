static inline struct task_struct *parent_of(struct task_struct *task) {
    struct task_struct *parent = OF_TASK(task->real_parent);
    return OF_TASK(parent->group_leader);
}
static inline void name_of(struct task_struct *task, char *name) {
#if TYPED_TASK
    __builtin_memcpy(name, task->comm, 16);
#else
    READ_TASK(name, 16, &task->comm);
#endif
}
int ended(u64 *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    struct slot zero = {}, *slot, *all = sum_of_all();
    struct ended key = {};
    struct task_struct *task = leader();
    if ((u32)thread != thread >> 32) /* a thread of a process that goes on, or ends with it */
        return 0;
    u64 lived = bpf_ktime_get_ns() - OF_TASK(task->start_time);
    key.code = OF_TASK(task->exit_code) & 0xff7f; /* without the mark of a core dump */
    this_name(key.comm);
    name_of(parent_of(task), key.parent);
    slot = rows.lookup_or_try_init(&key, &zero);
    if (slot) {
        slot->pid = this_pid();
        slot->cgroup = bpf_get_current_cgroup_id();
    }
    TALLY(slot, all, ends, 1);
    TALLY(slot, all, lived_ns, lived);
    return 0;
}
