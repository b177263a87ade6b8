/* What tells a socket from a later one at the same address: the number of its inode. 0: it has none,
 * as a connection that nobody has accepted yet. */

static inline u64 number_of(struct sock *sk) {
    struct socket *socket = follow(&sk->sk_socket);
    return socket ? PROBE(((struct socket_alloc *)socket)->vfs_inode.i_ino) : 0;
}
