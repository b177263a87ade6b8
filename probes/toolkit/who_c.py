"""The C that identifies the current process, by one pid and one name wherever it is shown.

The pid is the one in this process's /proc: inside a PID namespace that of the namespace, and 0 for
a process that has none there. The name is the group leader's, as in /proc/PID/comm, also for a
thread with a name of its own (io_uring's workers have one).
"""

from __future__ import annotations

# TASK_BTF: the number of bpf_get_current_task_btf (Linux 5.11), whose result is read without a
# helper, so also under lockdown. PIDNS: our PID namespace's inode, where it is not the first one.
_FOLLOWED = """
#if TYPED_TASK
#define OF_TASK(field) (field)
static inline struct task_struct *leader(void) {
    return ((struct task_struct *(*)(void))TASK_BTF)()->group_leader;
}
static inline void this_name(char *name) {
    __builtin_memcpy(name, leader()->comm, 16);
}
#else
#define OF_TASK(field) ({ typeof(field) _of; READ_TASK(&_of, sizeof(_of), &(field)); _of; })
static inline struct task_struct *leader(void) {
    struct task_struct *task = (void *)bpf_get_current_task();
    return OF_TASK(task->group_leader);
}
static inline void this_name(char *name) {
    READ_TASK(name, 16, &leader()->comm);
}
#endif
"""
# A process has a number in its own PID namespace and in each above; ours is one of the first few.
_NUMBERED = """
#ifndef PIDNS
static inline u32 this_pid(void) {
    return WHOLE_PID;
}
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
"""
_BODY = _FOLLOWED + _NUMBERED

WHO = (
    """
#ifdef TASK_BTF
#define TYPED_TASK 1
#endif
#define READ_TASK bpf_probe_read_kernel
#define WHOLE_PID (bpf_get_current_pid_tgid() >> 32)
"""
    + _BODY
)
"""u32 this_pid(), void this_name(char[16]): for programs that trace."""

WHO_AT_CGROUP = (
    """
#if defined(TASK_BTF) && defined(LOCKED_DOWN)
#define TYPED_TASK 1
#endif
#define READ_TASK(to, size, from) PROBE_KERNEL((to), (size), (from))
#define WHOLE_PID OF_TASK(leader()->tgid)
"""
    + _BODY
)
"""The same for programs at cgroups and sockets, which have fewer helpers."""
