"""Hook: syscalls. Every system call on the host."""
