/* How who.h reads a task in a tracing program. */

#ifdef TASK_BTF
#define TYPED_TASK 1
#endif
#define READ_TASK bpf_probe_read_kernel
#define WHOLE_PID (bpf_get_current_pid_tgid() >> 32)
