"""Numbers of the kernel's that Python has no names for."""

CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # include/uapi/linux/prctl.h
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2  # include/uapi/linux/in.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000  # include/uapi/linux/if_tun.h

HOST_NET = 9
"""A file descriptor of the network namespace from which the stage's own were made."""
