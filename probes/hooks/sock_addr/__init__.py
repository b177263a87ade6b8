"""Hook `sock-addr`: calls of connect, bind and sendto, by cgroup address programs."""
