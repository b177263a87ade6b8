"""Every process at one moment: its parent, its sockets and its terminals.

A terminal (pty) is named by its number; the process that holds its other end (its master) shows it
to somebody: sshd, tmux, a web terminal. Those of containers may have the same numbers, so one too
many may be found, never one too few.
"""

# Thousands of links are read in one go here: pathlib would take longer than the kernel.
# ruff: noqa: PTH115, PTH116, PTH123, PTH208

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from probes.errors import raise_if_short
from probes.kernel import pid_namespaces, procfs
from probes.kernel.proc_net import TcpEnds, tcp_connections

_PTY_MAJORS = range(136, 144)  # UNIX98_PTY_SLAVE_MAJOR and those after it


class Process(NamedTuple):
    """A process, with its sockets and terminals.

    stdio: those of its sockets that are its standard streams. masters: terminals that it is the
    other end of. terminals: those it has open, its controlling one among them.
    """

    pid: int
    parent: int
    name: str
    sockets: frozenset[int]
    stdio: frozenset[int]
    masters: frozenset[int]
    terminals: frozenset[int]


class Processes:
    """The processes that may be looked at. myself: this process's number among them."""

    def __init__(self) -> None:
        folder = self._folder = pid_namespaces.outermost()
        self.myself = pid_namespaces.myself(folder)
        self.all_seen = pid_namespaces.all_seen(folder)
        self.by_pid: Mapping[int, Process] = {p.pid: p for p in _scan(folder)}

    @cached_property
    def _holders(self) -> Mapping[int, list[int]]:
        return _index((s, p.pid) for p in self.by_pid.values() for s in p.sockets)

    @cached_property
    def _masters(self) -> Mapping[int, list[int]]:
        return _index((t, p.pid) for p in self.by_pid.values() for t in p.masters)

    @cached_property
    def _children(self) -> Mapping[int, list[int]]:
        return _index((p.parent, p.pid) for p in self.by_pid.values())

    def ancestors(self) -> list[int]:
        """Return the ancestors of this process, the nearest first."""
        found: list[int] = []
        this = self.by_pid.get(self.myself)
        while this is not None and (this := self.by_pid.get(this.parent)) is not None:
            if this.pid in found:
                break  # it was read while it changed
            found.append(this.pid)
        return found

    def children(self, pid: int) -> list[int]:
        return self._children.get(pid, [])

    def elsewhere(self) -> list[TcpEnds]:
        """Return the connections of all other network namespaces that processes are in."""
        first: dict[int, int] = {}
        for pid in self.by_pid:
            first.setdefault(self._netns(pid), pid)
        for own in (0, procfs.netns()):  # 0: it may not be looked at
            first.pop(own, None)
        return [c for pid in first.values() for c in tcp_connections(f"{self._folder}/{pid}")]

    def _netns(self, pid: int) -> int:
        try:
            return os.stat(f"{self._folder}/{pid}/ns/net").st_ino
        except OSError:
            return 0

    def holders(self, inode: int) -> list[int]:
        """Return the processes with this socket."""
        return self._holders.get(inode, [])

    def showing(self, terminals: Iterable[int]) -> list[int]:
        """Return the processes at the other end of these terminals."""
        return [pid for t in terminals for pid in self._masters.get(t, [])]


def _index(pairs: Iterable[tuple[int, int]]) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {}
    for key, pid in pairs:
        found.setdefault(key, []).append(pid)
    return found


def _scan(folder: str) -> Iterable[Process]:
    try:
        names = os.listdir(folder)
    except OSError as refused:
        raise_if_short(refused)
        return
    for name in names:
        if name.isdigit() and (found := _process(f"{folder}/{name}", int(name))) is not None:
            yield found


def _process(folder: str, pid: int) -> Process | None:
    try:
        with open(f"{folder}/stat", "rb") as f:
            head, _, rest = f.read().rpartition(b")")
        fields = rest.split()
        parent, terminal = int(fields[1]), _pty(int(fields[4]))
    except OSError as refused:
        raise_if_short(refused)
        return None  # it has gone
    except (ValueError, IndexError):
        return None
    name = os.fsdecode(head.partition(b"(")[2])
    sockets: set[int] = set()
    stdio: set[int] = set()
    masters: set[int] = set()
    terminals = set() if terminal is None else {terminal}
    for fd, target in _links(f"{folder}/fd"):
        if target.startswith("socket:["):
            sockets.add(inode := int(target[8:-1]))
            stdio |= {inode} if fd in ("0", "1", "2") else set()
        elif target.endswith("ptmx"):
            masters |= _master(f"{folder}/fdinfo/{fd}")
        elif target.rpartition("/")[2].isdigit():
            terminals |= _opened(f"{folder}/fd/{fd}")
    return Process(
        pid, parent, name,
        frozenset(sockets), frozenset(stdio), frozenset(masters), frozenset(terminals),
    )  # fmt: skip


def _links(folder: str) -> Iterable[tuple[str, str]]:
    try:
        fds = os.listdir(folder)
    except OSError as refused:
        raise_if_short(refused)
        return  # somebody else's, or it has gone
    for fd in fds:
        try:
            yield fd, os.readlink(f"{folder}/{fd}")
        except OSError:  # closed meanwhile
            continue


def _pty(device: int) -> int | None:
    """Return a terminal's number by its device; None where it is no pty (a console, or none)."""
    return os.minor(device) if os.major(device) in _PTY_MAJORS else None


def _opened(path: str) -> set[int]:
    try:
        number = _pty(os.stat(path).st_rdev)
    except OSError:
        return set()
    return set() if number is None else {number}


def _master(path: str) -> set[int]:
    """Return the number of the terminal that an open ptmx is the other end of. Linux 4.14."""
    try:
        with open(path, "rb") as f:
            return {int(line.split()[1]) for line in f if line.startswith(b"tty-index:")}
    except OSError as refused:
        raise_if_short(refused)
        return set()
    except (ValueError, IndexError):
        return set()
