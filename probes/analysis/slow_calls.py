"""System calls that take long: which may, because they wait for others, and from when it is harm.

Pure data and one function, as `errnos` is for failures.
"""

from __future__ import annotations

from probes.analysis.failing_calls import Badness

WAITING = frozenset({
    "accept", "accept4", "bpf", "clock_nanosleep", "close", "connect", "epoll_pwait",
    "epoll_pwait2", "epoll_wait", "execve", "execveat", "fcntl", "flock", "futex", "futex_wait",
    "futex_waitv", "io_getevents", "io_pgetevents", "io_uring_enter", "ioctl", "mq_timedreceive",
    "mq_timedsend", "msgrcv", "msgsnd", "nanosleep", "pause", "perf_event_open", "poll", "ppoll",
    "pread64", "preadv", "preadv2", "pselect6", "ptrace", "read", "readv", "recvfrom", "recvmmsg",
    "recvmsg", "restart_syscall", "rt_sigsuspend", "rt_sigtimedwait", "select", "semop",
    "semtimedop", "sendfile", "sendmmsg", "sendmsg", "sendto", "splice", "tee", "vfork", "vmsplice",
    "wait4", "waitid", "write", "writev",
})  # fmt: skip
"""Calls that may wait for others: for a reader, a lock, a child; their duration means nothing."""
SYNCING = frozenset({"fsync", "fdatasync", "msync", "sync", "sync_file_range", "syncfs"})
"""Calls that wait for a disk: the caller does nothing else meanwhile."""
LEAST_NS, SLOW_NS, LATE_NS = 10e6, 100e6, 500e6
"""Nanoseconds from which on a 99th percentile may be unusual; a mean is harm; a p99 is unusual."""
_EACH_S = 0.5
"""Calls a second below which a mean tells little."""


def slowness(call: str, calls: float, mean: float, p99: float, *, unusual: bool) -> Badness:
    """Return how bad it is that a call takes so long.

    calls: a second. mean, p99: nanoseconds, of the last ten seconds. unusual: whether its p99 is,
    by its history.
    """
    if call.rpartition(" ")[2] in WAITING or p99 < LEAST_NS:
        return Badness.CALM
    if call in SYNCING and calls >= _EACH_S:
        if mean >= SLOW_NS:
            return Badness.ALARM
        if p99 >= LATE_NS:
            return Badness.NOTICE
    return Badness.NOTICE if unusual else Badness.CALM
