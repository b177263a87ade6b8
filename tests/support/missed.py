"""Ends and beginnings that no program sees, as if it had been skipped: entries of maps of what is
under way, taken away while it happens and put back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from probes.kernel import bpf
from probes.kernel.objects import fd_field

Entries = dict[bytes, bytes]


def entries(fd: int, wanted: Callable[[bytes], bool] = lambda _: True) -> Entries:
    """Those of a map whose value is wanted."""
    keys, values = (fd_field(f"/proc/self/fdinfo/{fd}", f"{n}_size") or 0 for n in ("key", "value"))
    found, key = {}, bpf.map_next_key(fd, None, keys)
    while key is not None:
        if wanted(value := bpf.map_lookup(fd, key, values) or b""):
            found[key] = value
        key = bpf.map_next_key(fd, key, keys)
    return found


def taken(fd: int, wanted: Callable[[bytes], bool]) -> Entries:
    """The same, which are not there any more; those that end meanwhile are not among them."""
    return {key: value for key, value in entries(fd, wanted).items() if _took(fd, key)}


def _took(fd: int, key: bytes) -> bool:
    try:
        bpf.map_delete(fd, key)
    except FileNotFoundError:
        return False
    return True


def put(fd: int, found: Entries) -> None:
    """As if what happened to them meanwhile had been missed."""
    for key, value in found.items():
        bpf.map_update(fd, key, value)


@contextmanager
def batches(fd: int) -> Iterator[None]:
    """A process for each CPU that reads a map in batches all the time: within bpf(2), where no
    program on a kprobe or on a tracepoint of tracefs runs."""
    sizes = [fd_field(f"/proc/self/fdinfo/{fd}", n) or 0 for n in ("key_size", "value_size")]
    most = fd_field(f"/proc/self/fdinfo/{fd}", "max_entries") or 0
    readers = [_reading(cpu, fd, *sizes, most) for cpu in sorted(os.sched_getaffinity(0))]
    try:
        yield
    finally:
        for pid in readers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _reading(cpu: int, fd: int, keys: int, values: int, most: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.sched_setaffinity(0, {cpu})
        while os.getppid() != 1:
            bpf.map_lookup_batch(fd, keys, values, most)
    finally:
        os._exit(1)
