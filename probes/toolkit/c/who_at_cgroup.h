/* For programs at cgroups and sockets, which have fewer helpers: how who.h reads a task. */

#if defined(TASK_BTF) && defined(LOCKED_DOWN)
#define TYPED_TASK 1
#endif
#define READ_TASK(to, size, from) PROBE_KERNEL((to), (size), (from))
#define WHOLE_PID OF_TASK(leader()->tgid)
