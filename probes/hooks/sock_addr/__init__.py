"""Hook: sock-addr. Calls of connect, bind and sendto, by cgroup address programs."""
