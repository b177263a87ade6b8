/* As number.c, without a helper: a socket without a file has no number here. */

static inline u64 number_of(struct sock *sk) {
    struct socket *socket = sk->sk_socket;
    struct file *file = socket ? socket->file : 0;
    struct inode *inode = file ? file->f_inode : 0;
    return inode ? inode->i_ino : 0;
}
