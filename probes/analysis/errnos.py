"""Classes of failed system calls: by errno, and by call where the call tells more.

Most errors are answers: a file that is not there, a lock that somebody holds, an empty queue.
Pure data and one function. Sources: the manual pages of the calls (section "ERRORS"), errno(3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple


class ErrnoClass(StrEnum):
    """The meaning of a failed call."""

    ORDINARY = "ordinary"
    """An answer that programs ask for: never wrong, however often."""
    FAILURE = "failure"
    """The call did not do its work; programs live with some. The default."""
    GRAVE = "grave"
    """The host has run out of something, or something is broken: wrong in any program."""


class ErrnoMeaning(NamedTuple):
    """A class, a plain sentence, and what to look at next.

    knob: a sysctl whose value now tells more, or "". next: a command, or "".
    """

    errno_class: ErrnoClass
    sentence: str
    knob: str = ""
    next: str = ""


def _ordinary(sentence: str) -> ErrnoMeaning:
    return ErrnoMeaning(ErrnoClass.ORDINARY, sentence)


def _failure(sentence: str, knob: str = "", next: str = "") -> ErrnoMeaning:
    return ErrnoMeaning(ErrnoClass.FAILURE, sentence, knob, next)


def _grave(sentence: str, knob: str = "", next: str = "") -> ErrnoMeaning:
    return ErrnoMeaning(ErrnoClass.GRAVE, sentence, knob, next)


_GROUPS: Mapping[str, str] = {
    "lookup": "access faccessat faccessat2 stat lstat stat64 lstat64 newfstatat fstatat64 statx "
    "readlink readlinkat execve execveat getxattr lgetxattr listxattr llistxattr open openat "
    "openat2 statfs inotify_add_watch name_to_handle_at uselib",
    "remove": "unlink unlinkat rmdir rename renameat renameat2 removexattr lremovexattr "
    "fremovexattr mq_unlink umount2",
    "create": "mkdir mkdirat open openat openat2 link linkat symlink symlinkat mknod mknodat "
    "rename renameat renameat2 epoll_ctl semget shmget msgget mq_open add_key bpf",
    "xattr": "getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr "
    "lremovexattr fremovexattr setxattr lsetxattr fsetxattr",
    "signal": "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal "
    "ptrace process_vm_readv process_vm_writev get_robust_list prlimit64 setpgid getpgid getsid "
    "getpriority setpriority ioprio_get ioprio_set sched_getaffinity sched_setaffinity "
    "sched_getattr sched_setattr sched_getparam sched_setparam sched_getscheduler "
    "sched_setscheduler migrate_pages move_pages",
    "wait": "wait4 waitid waitpid",
    "timed": "futex futex_time64 futex_waitv rt_sigtimedwait rt_sigtimedwait_time64 mq_timedsend "
    "mq_timedreceive semtimedop io_uring_enter ppoll",
    "ioctl": "ioctl",
    "seek": "lseek _llseek llseek pread64 pwrite64 preadv pwritev preadv2 pwritev2 fadvise64 "
    "fadvise64_64 readahead sync_file_range",
    "peer": "getpeername getsockname shutdown",
    "option": "getsockopt setsockopt",
    "copy": "sendfile sendfile64 splice tee vmsplice copy_file_range fallocate",
    "close": "close close_range fcntl fcntl64 fstat dup2",
    "connect": "connect",
    "process": "fork vfork clone clone3",
    "watch": "inotify_add_watch epoll_ctl",
    "in place": "mremap",
    "probe": "prctl arch_prctl rseq membarrier io_uring_register seccomp landlock_create_ruleset "
    "perf_event_open getrandom",
    "rename": "rename renameat renameat2 link linkat",
    "lock": "mlock mlock2 mlockall",
}
"""Calls that are alike in what an errno means."""

ANY_CALL: Mapping[str, ErrnoMeaning] = {
    "EAGAIN": _ordinary("The call would have to wait; the program tries again."),
    "EINTR": _ordinary("A signal interrupted the wait; the program calls again."),
    "ERESTARTSYS": _ordinary("A signal interrupted the wait; the kernel restarts the call."),
    "ERESTARTNOINTR": _ordinary("A signal interrupted the wait; the kernel restarts the call."),
    "ERESTARTNOHAND": _ordinary("A signal interrupted the wait."),
    "ERESTART_RESTARTBLOCK": _ordinary("A signal interrupted the sleep; the kernel resumes it."),
    "ENOSYS": _ordinary("This kernel does not have the call; programs do without it."),
    "EMFILE": _grave(
        "The process has reached its limit of open files.", "", "prlimit --nofile --pid PID"
    ),
    "ENFILE": _grave(
        "The host has reached its limit of open files.", "fs.file-max", "cat /proc/sys/fs/file-nr"
    ),
    "ENOSPC": _grave("The disk is full, or out of inodes.", "", "df -h; df -i"),
    "EDQUOT": _grave("The disk quota is used up.", "", "quota"),
    "EIO": _grave("A device failed to read or write.", "", "dmesg --level err"),
    "EUCLEAN": _grave("The file system is damaged.", "", "dmesg --level err"),
    "EBADMSG": _grave("Data failed its checksum.", "", "dmesg --level err"),
    "ENOMEM": _grave("The host or the cgroup is out of memory.", "", "free -m"),
    "ENOBUFS": _grave("The kernel has no buffers left for packets.", "net.core.wmem_max"),
    "EROFS": _grave("The file system is mounted read-only.", "", "dmesg --level err; mount"),
    "ESTALE": _grave("A file on a file server no longer exists.", "", "mount -t nfs,nfs4"),
    "EHWPOISON": _grave("A memory page has a hardware error.", "", "dmesg --level err"),
    "EPERM": _failure("The operation is not permitted."),
    "EACCES": _failure("Permission is denied.", "", "ls -l; journalctl -t audit"),
    "ENOENT": _failure("There is no such file."),
    "ENOTDIR": _failure("A part of the path is not a directory."),
    "EEXIST": _failure("It exists already."),
    "EINVAL": _failure("An argument is not valid."),
    "EFAULT": _failure("An argument points outside the process's memory."),
    "EBADF": _failure("That file descriptor is not open."),
    "ETIMEDOUT": _failure("There was no answer in time."),
    "ECONNREFUSED": _failure("Nothing listens on that port or Unix socket.", "", "ss -xlp"),
    "ECONNRESET": _failure("The peer has reset the connection."),
    "ECONNABORTED": _failure("The connection was aborted on this host."),
    "EPIPE": _failure("The peer has closed the connection or the pipe."),
    "EHOSTUNREACH": _failure("The host cannot be reached.", "", "ip route get ADDRESS"),
    "ENETUNREACH": _failure("There is no route there.", "", "ip route"),
    "EADDRINUSE": _failure("The port is in use.", "", "ss -lntup"),
    "EADDRNOTAVAIL": _failure(
        "No port is left, or the address is not this host's.", "net.ipv4.ip_local_port_range"
    ),
    "EMSGSIZE": _failure("The message is larger than the path allows.", "", "ip link"),
    "ENOTCONN": _failure("The socket is not connected."),
    "ETXTBSY": _failure("The program is running, and cannot be written."),
    "EBUSY": _failure("It is in use."),
    "ELOOP": _failure("Too many symbolic links, probably a loop."),
    "ENAMETOOLONG": _failure("The name is too long."),
    "EFBIG": _failure("The file would exceed the size limit."),
    "EDEADLK": _failure("It would deadlock."),
    "EOVERFLOW": _failure("The value is too large for its type."),
    "EPROTO": _failure("The peer broke the protocol."),
    "EXDEV": _failure("It is on another file system."),
    "EISDIR": _failure("It is a directory."),
    "ENXIO": _failure("There is no such device, or nothing at its other end."),
    "ENODEV": _failure("There is no such device."),
    "ENOTTY": _failure("This kind of file has no such operation."),
    "ESRCH": _failure("There is no such process."),
    "ECHILD": _failure("There is no such child process."),
    "ENODATA": _failure("There is no data of that name."),
    "ENOTEMPTY": _failure("The directory is not empty."),
    "ESPIPE": _failure("The file is a pipe or a socket, and cannot seek."),
    "EOPNOTSUPP": _failure("That is not supported here."),
    "ENOTSUPP": _failure("That is not supported here."),
    "ENOTSOCK": _failure("That file is not a socket."),
    "E2BIG": _failure("The arguments are too long."),
}

_NOT_THERE = _ordinary("There is no such file: programs look in several places.")
_IS_THERE = _ordinary("It exists already, which is what the program wants.")
_NOT_HELD = _ordinary("Another process holds it, or it does not exist: the program only tries.")
_NO_SUCH_PROCESS = _ordinary("The process has ended: programs check this way whether it runs.")
_NO_ATTRIBUTE = _ordinary("The file has no such attribute.")
_NO_POSITION = _ordinary("It is a pipe or a socket: programs check this way.")
_IN_PROGRESS = _ordinary("The connection is in progress; the program does not wait for it.")
_OTHERWISE = _ordinary("The kernel cannot do this here; programs fall back to copying.")
_TIME_OVER = _ordinary("The wait reached the time-out that the program set.")
_UNKNOWN_HERE = _ordinary("The kernel lacks this feature: programs check this way.")
_NO_PROCESS = _grave(
    "The limit of processes or threads is reached.",
    "kernel.threads-max",
    "prlimit --nproc --pid PID",
)

_BY_GROUP: Mapping[tuple[str, str], ErrnoMeaning] = {
    ("lookup", "ENOENT"): _NOT_THERE,
    ("lookup", "ENOTDIR"): _NOT_THERE,
    ("lookup", "ENXIO"): _ordinary("Nothing reads from that pipe yet."),
    ("remove", "ENOENT"): _ordinary("It was removed already."),
    ("remove", "ENOTEMPTY"): _ordinary("The directory is still in use."),
    ("create", "EEXIST"): _IS_THERE,
    ("create", "ENOENT"): _NOT_THERE,
    ("rename", "EXDEV"): _OTHERWISE,
    ("xattr", "ENODATA"): _NO_ATTRIBUTE,
    ("xattr", "EOPNOTSUPP"): _NO_ATTRIBUTE,
    ("signal", "ESRCH"): _NO_SUCH_PROCESS,
    ("wait", "ECHILD"): _ordinary("There is no child process left to wait for."),
    ("timed", "ETIMEDOUT"): _TIME_OVER,
    ("timed", "ETIME"): _TIME_OVER,
    ("ioctl", "ENOTTY"): _ordinary("It is not a terminal: programs check this way."),
    ("ioctl", "EINVAL"): _UNKNOWN_HERE,
    ("ioctl", "EOPNOTSUPP"): _UNKNOWN_HERE,
    ("ioctl", "ENODEV"): _ordinary("The interface does not exist."),
    ("seek", "ESPIPE"): _NO_POSITION,
    ("seek", "ENXIO"): _ordinary("The file has no data after that offset."),
    ("peer", "ENOTCONN"): _ordinary("The peer has gone, or has not connected yet."),
    ("peer", "ENOTSOCK"): _ordinary("It is not a socket: programs check this way."),
    ("option", "ENOTSOCK"): _ordinary("It is not a socket: programs check this way."),
    ("option", "ENOPROTOOPT"): _UNKNOWN_HERE,
    ("option", "EOPNOTSUPP"): _UNKNOWN_HERE,
    ("copy", "EINVAL"): _OTHERWISE,
    ("copy", "EXDEV"): _OTHERWISE,
    ("copy", "EOPNOTSUPP"): _OTHERWISE,
    ("close", "EBADF"): _ordinary(
        "It was closed already: programs close everything that may be open."
    ),
    ("connect", "EINPROGRESS"): _IN_PROGRESS,
    ("connect", "EALREADY"): _IN_PROGRESS,
    ("connect", "EISCONN"): _ordinary("It is connected already: programs check this way."),
    ("connect", "EADDRNOTAVAIL"): _grave(
        "No local port is left for that destination.",
        "net.ipv4.ip_local_port_range",
        "ss -s",
    ),
    ("connect", "EAGAIN"): _grave("The listener's queue is full, or no local port is left."),
    ("process", "EAGAIN"): _NO_PROCESS,
    ("process", "ENOMEM"): _NO_PROCESS,
    ("watch", "ENOSPC"): _grave(
        "The user has reached the limit of watched files.", "fs.inotify.max_user_watches"
    ),
    ("in place", "ENOMEM"): _ordinary("It cannot grow in place; programs move it."),
    ("probe", "EINVAL"): _UNKNOWN_HERE,
    ("probe", "EOPNOTSUPP"): _UNKNOWN_HERE,
    ("probe", "ENOENT"): _UNKNOWN_HERE,
    ("lock", "ENOMEM"): _grave(
        "The process has reached its limit of locked memory.", "", "prlimit --memlock --pid PID"
    ),
}  # fmt: skip

_BY_CALL: Mapping[tuple[str, str], ErrnoMeaning] = {
    ("readlink", "EINVAL"): _ordinary("It is not a symbolic link: programs check this way."),
    ("readlinkat", "EINVAL"): _ordinary("It is not a symbolic link: programs check this way."),
    ("execve", "EACCES"): _ordinary("It cannot be run: programs look in several places."),
    ("bpf", "ENOENT"): _ordinary("The end of a list was reached."),
    ("bpf", "ENOSPC"): _ordinary("The buffer is too small; the program tries again."),
    ("bpf", "EINVAL"): _UNKNOWN_HERE,
    ("bpf", "E2BIG"): _grave("A map is full.", "", "bpftool map"),
    ("inotify_init", "EMFILE"): _grave(
        "The user has reached the limit of inotify instances.", "fs.inotify.max_user_instances"
    ),
    ("inotify_init1", "EMFILE"): _grave(
        "The user has reached the limit of inotify instances.", "fs.inotify.max_user_instances"
    ),
    ("io_setup", "EAGAIN"): _grave(
        "The host has reached its limit of asynchronous I/O.", "fs.aio-max-nr"
    ),
    ("mq_open", "EMFILE"): _grave(
        "The host has reached its limit of message queues.", "fs.mqueue.queues_max"
    ),
    ("shmget", "ENOSPC"): _grave(
        "The host has reached its limit of shared memory segments.", "kernel.shmmni"
    ),
    ("semget", "ENOSPC"): _grave("The host has reached its limit of semaphore sets.", "kernel.sem"),
    ("msgget", "ENOSPC"): _grave(
        "The host has reached its limit of message queues.", "kernel.msgmni"
    ),
    ("add_key", "EDQUOT"): _grave("The user has reached the limit of keys.", "kernel.keys.maxkeys"),
    ("keyctl", "EDQUOT"): _grave("The user has reached the limit of keys.", "kernel.keys.maxkeys"),
    ("mmap", "EAGAIN"): _grave(
        "The process has reached its limit of locked memory.", "", "prlimit --memlock --pid PID"
    ),
    ("mmap", "ENOMEM"): _grave(
        "The process has reached its limit of memory or of mappings.", "vm.max_map_count"
    ),
    ("madvise", "EINVAL"): _UNKNOWN_HERE,
    ("madvise", "ENOMEM"): _ordinary("A part of that range is not mapped."),
    ("mincore", "ENOMEM"): _ordinary("It is not mapped: programs check this way."),
    ("flock", "EAGAIN"): _NOT_HELD,
    ("keyctl", "ENOKEY"): _NOT_HELD,
    ("request_key", "ENOKEY"): _NOT_HELD,
    ("epoll_ctl", "ENOENT"): _ordinary("It was not watched."),
    ("epoll_ctl", "EPERM"): _ordinary("It is a regular file, which is always ready."),
    ("epoll_ctl", "EBADF"): _ordinary("It was closed already."),
    ("fsync", "EINVAL"): _ordinary("It is not a file on a disk."),
    ("fdatasync", "EINVAL"): _ordinary("It is not a file on a disk."),
    ("sendto", "EAGAIN"): _ordinary("The send buffer is full; the program tries again."),
    ("sendmsg", "EAGAIN"): _ordinary("The send buffer is full; the program tries again."),
    ("restart_syscall", "ETIMEDOUT"): _TIME_OVER,
    ("adjtimex", "EPERM"): _ordinary("The program only tries whether it may set the clock."),
    ("prlimit64", "EPERM"): _ordinary("The limit may not be raised: programs try, and do without."),
    ("setrlimit", "EPERM"): _ordinary("The limit may not be raised: programs try, and do without."),
    ("open_by_handle_at", "ESTALE"): _ordinary(
        "The file of that handle no longer exists: programs check this way."
    ),
}  # fmt: skip


def _by_group(groups: Iterable[tuple[str, str]]) -> dict[tuple[str, str], ErrnoMeaning]:
    return {
        (call, errno): _BY_GROUP[group, errno]
        for group, errno in groups
        for call in _GROUPS[group].split()
    }


KNOWN: Mapping[tuple[str, str], ErrnoMeaning] = {**_by_group(_BY_GROUP), **_BY_CALL}
_UNKNOWN = _failure("The call failed.")
_ALSO = {"ENOTSUP": "EOPNOTSUPP", "EWOULDBLOCK": "EAGAIN", "EDEADLOCK": "EDEADLK"}
"""Other names of the same numbers."""


@lru_cache(4096)
def errno_meaning(call: str, errno: str) -> ErrnoMeaning:
    """Return what it means that a system call failed so.

    call, errno: names, as "openat" and "ENOENT". Of 32-bit and x32 calls ("32-bit openat") the same
    as of the native call.
    """
    call, errno = call.rpartition(" ")[2], _ALSO.get(errno, errno)
    return KNOWN.get((call, errno)) or ANY_CALL.get(errno) or _UNKNOWN
