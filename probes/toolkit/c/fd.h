/* Finds the socket behind a file descriptor of the calling process, by reading kernel memory. */

static inline void *follow(void *from) {
    void *to = 0;
    bpf_probe_read_kernel(&to, sizeof(to), from);
    return to;
}
static inline struct socket *socket_of(u32 fd) {
    struct task_struct *task = (void *)bpf_get_current_task();
    struct files_struct *files = follow(&task->files);
    struct fdtable *table = follow(&files->fdt);
    struct file **fds = follow(&table->fd), *file = follow(&fds[fd]);
    return follow(&file->private_data);
}
static inline void link_of(struct sock *sk, u32 *ifindex, u32 *netns) {
    struct net *net = follow(&sk->__sk_common.skc_net.net);
    bpf_probe_read_kernel(ifindex, 4, &sk->__sk_common.skc_bound_dev_if);
    bpf_probe_read_kernel(netns, 4, &net->ns.inum);
}
static inline u32 protocol_of(struct socket *socket) {
    struct sock *sk = follow(&socket->sk);
    u16 protocol = 0;
    bpf_probe_read_kernel(&protocol, sizeof(protocol), &sk->sk_protocol);
    return protocol;
}
