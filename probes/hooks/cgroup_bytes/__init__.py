"""Hook: cgroup-bytes. Bytes that the sockets of each cgroup send and receive."""
