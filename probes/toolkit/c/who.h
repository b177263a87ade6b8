/* Identifies the current process: u32 this_pid(), void this_name(char[16]). TASK_BTF: the number
 * of bpf_get_current_task_btf (Linux 5.11), whose result is read without a helper, and so also
 * under lockdown. PIDNS: the inode of our PID namespace, unless it is the initial one. */

#if TYPED_TASK
#define OF_TASK(field) (field)
static inline struct task_struct *leader(void) {
    return ((struct task_struct * (*)(void)) TASK_BTF)()->group_leader;
}
static inline void this_name(char *name) { __builtin_memcpy(name, leader()->comm, 16); }
#else
#define OF_TASK(field) ({ typeof(field) _of; READ_TASK(&_of, sizeof(_of), &(field)); _of; })
static inline struct task_struct *leader(void) {
    struct task_struct *task = (void *)bpf_get_current_task();
    return OF_TASK(task->group_leader);
}
static inline void this_name(char *name) { READ_TASK(name, 16, &leader()->comm); }
#endif

/* A process has a pid in its own PID namespace and in each above; ours is one of the first few. */

#ifndef PIDNS
static inline u32 this_pid(void) { return WHOLE_PID; }
#elif defined(LOCKED_DOWN)
static inline u32 this_pid(void) {
    struct bpf_pidns_info found = {};
    bpf_get_ns_current_pid_tgid(PIDNS_DEV, PIDNS, &found, sizeof(found));
    return found.tgid;
}
#else
static inline u32 this_pid(void) {
    struct pid *pid = OF_TASK(leader()->thread_pid);
    u32 deepest = 0;
    READ_TASK(&deepest, sizeof(deepest), &pid->level);
#pragma unroll
    for (u32 i = 1; i <= 8; i++) {
        struct upid at = {};
        u32 namespace = 0;
        if (i > deepest)
            break;
        READ_TASK(&at, sizeof(at), &pid->numbers[i]);
        READ_TASK(&namespace, sizeof(namespace), &at.ns->ns.inum);
        if (namespace == PIDNS)
            return at.nr;
    }
    return 0;
}
#endif
