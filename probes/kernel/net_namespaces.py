"""Network namespaces that processes live in, and a look into one; see network_namespaces(7).

Namespaces of processes that may not be looked at (CAP_SYS_PTRACE) are not found.
"""

# Thousands of processes are asked in one go here: pathlib would take longer than the kernel.
# ruff: noqa: PTH116, PTH208

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from operator import itemgetter
from time import monotonic
from typing import TypeVar

from probes.errors import Denied, Gone, ProbeError
from probes.kernel import capabilities, procfs
from probes.kernel.threads import in_own_thread

T = TypeVar("T")
Enter = Callable[[int, int], None]
"""Moves this thread into a namespace: of a process, by its inode."""
_CLONE_NEWNET = 0x40000000
_NAMED = "/run/netns"  # where ip-netns(8) mounts those that it names


class NetNamespaces:
    """Network namespaces by inode, with a process in each.

    New processes are asked at each call, all again after `AGAIN` seconds: one may have moved. Both
    take `SLICE` seconds at a time at most, and go on where they ended.
    """

    AGAIN, SLICE = 10.0, 0.02

    def __init__(self) -> None:
        self._of: dict[int, int] = {}
        self._found: dict[int, int] | None = None
        self._next = 0.0
        self._asking: Iterator[None] = iter(())
        self._before = set(named())
        self.complete = False
        """Whether every process was asked once."""

    def find(self) -> dict[int, int]:
        """Return the namespaces, each with its oldest process."""
        now, at_first = procfs.pid_set(), not self.complete
        for pid in self._of.keys() - now:
            self._changed(pid, None)
        self._ask(now)
        if self._found is None:
            self._found = self._oldest()
        if at_first:
            self._before |= self._found.keys()
        return dict(self._found)

    def _oldest(self) -> dict[int, int]:
        pids = sorted(self._of, reverse=True)  # of each namespace the last one stays
        found = dict(zip(map(self._of.__getitem__, pids), pids, strict=True))
        found.pop(0, None)
        return dict(sorted(found.items(), key=itemgetter(1)))

    def _changed(self, pid: int, namespace: int | None) -> None:
        """Note a process's namespace, or that it has gone."""
        self._found = None
        if namespace is None:
            del self._of[pid]
        else:
            self._of[pid] = namespace

    def is_new(self, namespace: int) -> bool:
        """Return whether it is known to be newer than this object."""
        return self.complete and namespace not in self._before

    def _ask(self, now: AbstractSet[int]) -> None:
        begin = monotonic()
        if begin >= self._next:
            self._asking = self._walk(sorted(now))
            self._next = begin + self.AGAIN
        for walk in (self._walk(sorted(now - self._of.keys())), self._asking):
            for _ in walk:
                if monotonic() - begin > self.SLICE:
                    return
        self.complete = True

    def _walk(self, pids: list[int]) -> Iterator[None]:
        for pid in pids:
            namespace = of_process(pid)
            if self._of.get(pid) != namespace:
                self._changed(pid, namespace)
            yield


def of_process(pid: int) -> int:
    """Return the inode of a process's network namespace; 0 where it is hidden, or has gone."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return 0


def of_host() -> int:
    """Return the inode of the host's: that of process 1, where it is hidden of an ancestor's.

    Raises OSError where there is no /proc.
    """
    there = (of_process(pid) for pid in procfs.eldest())
    return next(filter(None, there), 0) or procfs.netns()


def inside(pid: int, namespace: int, ask: Callable[[], T]) -> T:
    """Return what `ask` gives in a process's network namespace, from a thread that enters it.

    Raises what `ask` raises; Gone where the process has left that namespace, Denied where it may
    not be entered (CAP_SYS_ADMIN).
    """

    def work(enter: Enter) -> T:
        enter(pid, namespace)
        return ask()

    return roaming(work)


def roaming(work: Callable[[Enter], T]) -> T:
    """Return what `work` does in a thread that may enter one namespace after the other.

    A thread for each would take longer than what is asked there. work: gets the function that
    enters the namespace of a process, given as (pid, inode), which raises Gone where the process
    has left it, Denied where it may not be entered (CAP_SYS_ADMIN). Raises what `work` raises.
    """
    may = _may_enter()

    def enter(pid: int, namespace: int) -> None:
        if not may:
            raise Denied("entering a network namespace needs CAP_SYS_ADMIN")
        _enter(pid, namespace)

    try:
        return in_own_thread(lambda: work(enter))
    except RuntimeError as e:  # as many as this user may have
        raise ProbeError(f"entering network namespaces: {e}") from e


def visited(files: Mapping[int, str], ask: Callable[[], T]) -> dict[int, T]:
    """Return what `ask` gives in each network namespace, by its inode.

    One thread enters one after the other and keeps nothing of them, so that none outlives its
    container. files: those to enter by. Left out are those that are another one's by now, that may
    not be entered, and in which it raises OSError or ProbeError. Nothing without CAP_SYS_ADMIN.
    """
    found: dict[int, T] = {}

    def work() -> None:
        for namespace, file in files.items():
            with suppress(OSError, ProbeError):
                fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if os.fstat(fd).st_ino == namespace:
                        _set(fd)
                        found[namespace] = ask()
                finally:
                    os.close(fd)

    if files and _may_enter():
        with suppress(RuntimeError):  # as many threads as this user may have
            in_own_thread(work)
    return found


def named() -> dict[int, str]:
    """Return the files of the namespaces that ip-netns(8) lists, by inode."""
    found: dict[int, str] = {}
    with suppress(OSError):
        for name in os.listdir(_NAMED):
            with suppress(OSError):
                found[os.stat(f"{_NAMED}/{name}").st_ino] = f"{_NAMED}/{name}"
    return found


_SO_NETNS_COOKIE = 71


def cookie(pid: int, namespace: int) -> int:
    """Return a number that no other network namespace ever has (Linux 5.14); 0 if unknown."""

    def ask() -> int:
        with socket.socket(socket.AF_UNIX) as any_socket:
            found = any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        return int.from_bytes(found, sys.byteorder)

    try:
        return inside(pid, namespace, ask)
    except (OSError, ProbeError):
        return 0


def _may_enter() -> bool:
    try:
        return bool(capabilities.effective() >> capabilities.SYS_ADMIN & 1)
    except OSError:  # not to be asked: entering will tell
        return True


def _enter(pid: int, namespace: int) -> None:
    try:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise Gone(f"process {pid} has gone", errno=e.errno or 0) from e
    try:
        if os.fstat(fd).st_ino != namespace:
            raise Gone(f"process {pid} has moved to another network namespace")
        _set(fd)
    except OSError as e:
        raise Denied(f"network namespace {namespace}: {e.strerror}", errno=e.errno or 0) from e
    finally:
        os.close(fd)


def enter(file: str) -> None:
    """Move this thread, and what it starts from now on, into the network namespace of a file.

    Raises OSError: EPERM without CAP_SYS_ADMIN, EINVAL for another file. setns(2).
    """
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set(fd)
    finally:
        os.close(fd)


def _set(fd: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWNET):
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
