/* How who.h reads a task in a program at a cgroup or socket, which has fewer helpers. */

#if defined(TASK_BTF) && defined(LOCKED_DOWN)
#define TYPED_TASK 1
#endif
#define READ_TASK(to, size, from) PROBE_KERNEL((to), (size), (from))
#define WHOLE_PID OF_TASK(leader()->tgid)
