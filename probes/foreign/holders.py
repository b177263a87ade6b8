"""Holders of BPF programs: processes by their file descriptors, and pins in bpffs.

Reading every file descriptor on the host takes long: it is done rarely, see `Rarely`.
"""

# Thousands of links are read in one go here: pathlib would take longer than the kernel.
# ruff: noqa: PTH115

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, thread_time
from typing import Generic, NamedTuple, TypeVar

from probes.errors import short
from probes.kernel import bpf, procfs
from probes.kernel.objects import fd_field
from probes.units import printable

T = TypeVar("T")
PROGRAM, LINKS = "anon_inode:bpf-prog", ("anon_inode:bpf_link", "anon_inode:bpf-link")
_EVENT = "anon_inode:[perf_event]"
MOST_PINS = 10_000
"""Files and folders below one bpffs that are read, at the most."""
WALK_SECONDS = 2.0
"""Time limit for all file descriptors, and for each bpffs."""


class Holders(NamedTuple):
    """Holders that were found.

    by: program's id -> holders, as "comm(pid)" and "pin PATH", in a stable order. events: program's
    id -> where perf events run it that are no link.
    """

    by: dict[int, tuple[str, ...]]
    events: dict[int, tuple[str, ...]]


class Rarely(Generic[T]):
    """A costly value, computed again once it is old: it takes at most 5 % of one CPU.

    soon: there is something new, so do not wait until it is old.
    """

    REST, AGE = 20.0, 15.0
    """Pause as a multiple of the last look's CPU time.

    And seconds after which it is done anyway.
    """

    def __init__(self, find: Callable[[], T]) -> None:
        self._find = find
        self._found: T | None = None
        self._next = self._old = 0.0
        self._stale = False

    def get(self, *, soon: bool) -> T:
        begin = monotonic()
        self._stale |= soon
        if self._found is None or begin >= self._old or (self._stale and begin >= self._next):
            cpu = thread_time()
            self._found, self._stale = self._find(), False
            now = monotonic()
            self._next = now + self.REST * (thread_time() - cpu)
            self._old = max(self._next, now + self.AGE)
        return self._found


def held() -> Holders:
    """Return who holds which program now; other users' processes and pins as root only."""
    by: dict[int, list[str]] = {}
    events: dict[int, list[str]] = {}
    until = monotonic() + WALK_SECONDS
    for pid in procfs.pids():  # what is there for long, such as daemons, before what came lately
        if monotonic() > until:
            break
        for program, where in dict.fromkeys(_of_process(pid)):
            who = by.setdefault(program, [])
            name = process_name(pid)
            if name not in who:
                who.append(name)
            if where and where not in events.setdefault(program, []):
                events[program].append(where)
    for program, name in pins():
        by.setdefault(program, []).append(name)
    return Holders(_steady(by), _steady(events))


def process_name(pid: int) -> str:
    """Return "comm(pid)"."""
    return f"{printable(procfs.comm(pid) or '?')}({pid})"


def _steady(found: dict[int, list[str]]) -> dict[int, tuple[str, ...]]:
    return {program: tuple(names) for program, names in found.items()}


def _of_process(pid: int) -> Iterator[tuple[int, str]]:
    """Return the programs that a process holds: directly, by a link or by a perf event ("".

    By others).
    """
    for fd, kind in procfs.fds(pid):
        if kind == PROGRAM or kind in LINKS:
            program = fd_field(f"/proc/{pid}/fdinfo/{fd}", "prog_id")
            if program:
                yield program, ""
        elif kind == _EVENT:
            yield from _at_event(pid, int(fd))


_EVENT_KINDS = ("raw_tracepoint", "tracepoint", "kprobe", "kretprobe", "uprobe", "uretprobe")
"""enum bpf_task_fd_type."""


def _at_event(pid: int, fd: int) -> Iterator[tuple[int, str]]:
    try:
        at = bpf.task_fd_query(pid, fd)
    except OSError:
        return  # no program, or an event (of software, hardware) of which the kernel tells nothing
    kind = _EVENT_KINDS[at.kind] if at.kind < len(_EVENT_KINDS) else "perf event"
    offset = f"+{at.offset:#x}" if at.offset and kind != "tracepoint" else ""
    yield at.program, f"{kind} {printable(at.name)}{offset}"


def pins() -> Iterator[tuple[int, str]]:
    """Yield (program, "pin PATH") of pinned programs and pinned links of programs."""
    for mount in procfs.mounts("bpf"):
        for path in _files(mount):
            try:
                fd = bpf.obj_get(path)
            except OSError as refused:
                if short(refused.errno):
                    raise
                continue  # a map's own file of text, or not for us
            try:
                kind = os.readlink(f"/proc/self/fd/{fd}")
                if kind == PROGRAM or kind in LINKS:
                    program = fd_field(f"/proc/self/fdinfo/{fd}", "prog_id")
                    if program:
                        yield program, f"pin {printable(path)}"
            finally:
                os.close(fd)


def _files(mount: Path) -> Iterator[str]:
    waiting, seen, until = deque([str(mount)]), 0, monotonic() + WALK_SECONDS
    while waiting:
        try:
            with os.scandir(waiting.popleft()) as entries:
                for entry in entries:
                    seen += 1
                    if seen > MOST_PINS or monotonic() > until:
                        return
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        yield entry.path
        except OSError:
            continue  # gone meanwhile, or not for us
