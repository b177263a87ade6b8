"""Facts from /proc, without any program: processes behind sockets, their reads and writes, drops.

Everything here works without privilege, for what this user may see, and raises OSError where no
file is left to look with. Sources: proc(5) and the kernel's Documentation/filesystems/proc.rst.
"""

# Thousands of links are read in one go here: pathlib would take longer than the kernel.
# ruff: noqa: PTH115, PTH116, PTH123, PTH208

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from time import monotonic, thread_time
from typing import NamedTuple

from probes.errors import raise_if_short
from probes.kernel.tick_cache import cached

_NET = "/proc/thread-self/net/"  # /proc/net is that of the main thread's namespace


class Owner(NamedTuple):
    """A process that holds a socket. comm: unchanged, not made printable."""

    pid: int
    comm: str


class SocketOwners:
    """Processes that hold sockets, by the socket's inode.

    /proc/*/fd is scanned only for inodes that are new, until all are found, and each scan is
    followed by a rest 50 times as long, so that it costs 2 % of one CPU at most. There may be many
    processes with a million file descriptors each: a scan works for `SLICE`, goes on in the next
    reading, and leaves what is beyond a process's first ones to the end. Sockets of other users'
    processes are found as root (CAP_SYS_PTRACE) only. Raises OSError where files are short.
    """

    REST, SLICE = 50.0, 0.2
    """Rest, as a multiple of the last scan's CPU time; seconds that a scan works at once."""
    FIRST = 1 << 14
    """File descriptors of each process that are looked at in the first round."""
    FEW = 64
    """Processes that are asked before all others, since something of theirs was found lately."""

    def __init__(self) -> None:
        self._known: dict[int, Owner] = {}
        self._unheld: set[int] = set()
        self._next = 0.0
        self._left: set[int] = set()
        self._scanning: Iterator[None] | None = None
        self._lately: dict[int, None] = {}

    def find(self, inodes: Collection[int]) -> dict[int, Owner]:
        """Return the owners of these sockets, as far as they are known; forget all others."""
        asked = set(inodes) - {0}
        self._forget(asked)
        self._left &= asked
        new = asked - self._known.keys() - self._unheld - self._left
        if monotonic() >= self._next and (new or self._scanning is not None):
            self._scan(new)
        return dict(self._known)

    def _forget(self, asked: set[int]) -> None:
        """Keep what is asked for and still true: processes end, and exec() renames them."""
        self._unheld &= asked
        for inode in self._known.keys() - asked:
            del self._known[inode]
        names = {owner: comm(owner.pid) for owner in set(self._known.values())}
        changed = {owner: name for owner, name in names.items() if name != owner.comm}
        if changed:
            self._rename(changed)

    def _rename(self, changed: Mapping[Owner, str | None]) -> None:
        now = {o: Owner(o.pid, name) for o, name in changed.items() if name is not None}
        for inode, owner in list(self._known.items()):
            if owner in now:
                self._known[inode] = now[owner]
            elif owner in changed:
                del self._known[inode]

    def _scan(self, new: set[int]) -> None:
        begin, cpu = monotonic(), thread_time()
        if self._scanning is None:
            self._left = set(new)
            self._scanning = self._walk()
        try:
            for _ in self._scanning:
                if monotonic() - begin > self.SLICE:
                    break
            else:
                # Those that nobody seems to hold are not looked for again: they stay in another's
                # hands.
                self._unheld |= self._left
                self._left, self._scanning = set(), None
        except OSError:  # it has not seen all: from the beginning, then
            self._left, self._scanning = set(), None
            raise
        self._next = monotonic() + self.REST * (thread_time() - cpu)

    def _walk(self) -> Iterator[None]:
        """Look for what is left; yield now and then."""
        for part in ((0, self.FIRST), (self.FIRST, None)):
            # Who has opened one opens others; and new ones are mostly of young processes.
            for pid in dict.fromkeys((*reversed(self._lately), *reversed(pids()))):
                owner: Owner | None = None
                for n, (_, what) in enumerate(fds(pid, *part)):
                    if (inode := _socket(what)) in self._left:
                        self._left.discard(inode)
                        owner = owner or Owner(pid, comm(pid) or "")
                        self._known[inode] = owner
                        self._remember(pid)
                    if not self._left:
                        return
                    if not n % 256:
                        yield
                yield

    def _remember(self, pid: int) -> None:
        self._lately.pop(pid, None)
        self._lately[pid] = None
        if len(self._lately) > self.FEW:
            del self._lately[next(iter(self._lately))]


Calls = tuple[int, int]
"""Calls that read, calls that wrote."""


class FileCalls:
    """Calls that read or write, of every process this user may look at, since the first reading.

    From /proc/<pid>/io: "read*" means read, pread64, readv and the like (syscr), "write*" their
    counterparts (syscw); on sockets, recv and send are not among them. A parent that has waited for
    a child has the child's calls in its own count, so processes that lived between two readings are
    counted too. CONFIG_TASK_IO_ACCOUNTING.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, Calls]] | None = None
        """Each process's parent, and its calls at the last reading."""
        self._inherited: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        """Calls of ended children that their parents will be credited with, counted already."""
        self._sums = [0, 0]

    def read(self) -> list[tuple[str, int]]:
        """Return (name, calls); a count never goes back when processes end."""
        # Parents first: a child that ends meanwhile is then missing until the next reading,
        # instead of being there twice.
        now = {pid: calls for pid in pids() if (calls := _io(pid)) is not None}
        before = self._known
        if before is not None:
            self._grow(before, now)
        self._known = {
            pid: (parent(pid) if before is None or pid not in before else before[pid][0], calls)
            for pid, calls in now.items()
        }
        return [("read*", self._sums[0]), ("write*", self._sums[1])]

    def _grow(self, before: Mapping[int, tuple[int, Calls]], now: Mapping[int, Calls]) -> None:
        inherited: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        for pid in before.keys() - now.keys():
            heir = before[pid][0]
            while heir in before and heir not in now:
                heir = before[heir][0]
            for counter, calls in zip(inherited, before[pid][1], strict=True):
                counter[heir] += calls
        for way in (0, 1):
            # A parent may wait a while; one that never does (SIGCHLD ignored) gets nothing, and
            # is not to be charged for it for ever.
            due = inherited[way] + self._inherited[way]
            for pid, both in now.items():
                last = before[pid][1][way] if pid in before else 0
                if both[way] < last:
                    last = 0  # another process with its number
                grown = both[way] - last
                paid = min(grown, due[pid])
                inherited[way][pid] -= min(paid, inherited[way][pid])
                self._sums[way] += grown - paid
        self._inherited = inherited


def pids() -> list[int]:
    """Return every visible process, the lowest number (mostly the oldest) first."""
    return sorted(pid_set())


def pid_set() -> frozenset[int]:
    """Return the same in any order; listed once in a reading."""
    return cached(_listed)


def _listed() -> frozenset[int]:
    return frozenset(map(int, filter(str.isdigit, os.listdir("/proc"))))


def contents(path: str) -> bytes:
    """Return what is in a small file. Raises OSError.

    `open` asks the kernel four more questions, for a buffer.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _SMALL)
    finally:
        os.close(fd)


_SMALL = 1 << 12
"""Bytes of a small file, at most: the kernel gives that much in one piece."""


def comm(pid: int) -> str | None:
    """Return a process's current name, not made printable; None where the process has gone."""
    try:
        return os.fsdecode(contents(f"/proc/{pid}/comm").removesuffix(b"\n"))
    except OSError as refused:
        raise_if_short(refused)
        return None


def started(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot. With the pid this is unique."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def image(pid: int) -> tuple[int, ...] | None:
    """Return what no other process has, nor this one after exec(); None where its memory has gone.

    That is when it began, and where its code and stack are: the latter two only for those who may
    look at them.
    """
    if not (fields := _stat(pid)):
        return None
    began, code, end, stack = map(int, (fields[19], *fields[23:26]))
    return (began, code, end, stack) if code else None


def _stat(pid: int) -> list[bytes]:
    """Return the fields of proc_pid_stat(5) from the third on; none where it has gone."""
    try:
        return contents(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError as refused:
        raise_if_short(refused)
        return []


def ancestors(pid: int) -> list[int]:
    """Return a process's parent, its parent's parent and so on, without pid 1."""
    found: list[int] = []
    while (above := parent(pid)) > 1 and above not in found:
        found.append(above)
        pid = above
    return found


def parent(pid: int) -> int:
    """Return a process's parent; 0 where it has none, or has gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


_MOST_ANCESTORS = 64


def eldest() -> list[int]:
    """Return process 1 and this process's ancestors, the oldest first."""
    found, pid = list[int](), os.getppid()
    while pid > 1 and len(found) < _MOST_ANCESTORS:
        found.append(pid)
        pid = parent(pid)
    return [1, *reversed(found)]


def netns() -> int:
    """Return the inode of this thread's network namespace, without which ifindexes mean nothing."""
    return cached(_own_netns)


def _own_netns() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO: the inode of the PID namespace that all others are below."""


def pid_namespace_of(process: str) -> tuple[int, int] | None:
    """Return the PID namespace of the process with this folder, as device and inode.

    None where it has gone, and without the right to know (ptrace).
    """
    try:
        found = Path(process, "ns/pid").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def pid_namespace() -> tuple[int, int] | None:
    """Return the PID namespace of /proc's numbers, as device and inode; None for the first one."""
    # Of the former: where /proc is that of a namespace above ours.
    found = pid_namespace_of("/proc/1") or pid_namespace_of("/proc/self")
    return None if found is None or found[1] == FIRST_PID_NAMESPACE else found


def mounts(kind: str) -> list[Path]:
    """Return where file systems of a kind are mounted, in the order of mounting."""
    return mounted(_read_bytes("/proc/self/mounts"), kind)


_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


def mounted(table: bytes, kind: str) -> list[Path]:
    """Return where a kind is mounted, from text like that of /proc/self/mounts.

    Any user's mounts are in it (FUSE), under names of any bytes: blanks and line ends are in octal,
    everything else is unchanged.
    """
    found = []
    for line in table.split(b"\n"):
        fields = line.split(b" ")
        if len(fields) > 2 and fields[2] == kind.encode():
            place = _OCTAL.sub(lambda m: bytes([int(m[1], 8)]), fields[1])
            found.append(Path(os.fsdecode(place)))
    return found


def net_counters(net: str = _NET) -> dict[str, int]:
    """Return everything that nstat shows, under nstat's names, of this thread's network namespace.

    net: of another one, the folder `net` of a process in it; empty where that has gone.
    """
    return {
        **_pairs(_read(net + "snmp")),
        **_pairs(_read(net + "netstat")),
        **_words(_read(net + "snmp6")),
    }


def softnet_dropped() -> int:
    """Return the packets that found a CPU's backlog full; of the host, in all namespaces."""
    return _softnet(_read(_NET + "softnet_stat"))


_IN_USE = re.compile(r"^TCP6?: inuse (\d+)", re.MULTILINE)


def tcp_sockets_in_use() -> int:
    """Return how many TCP sockets this network namespace has, without those in TIME_WAIT.

    Raises OSError where files are short. proc_net(5): sockstat.
    """
    told = _read(_NET + "sockstat") + _read(_NET + "sockstat6")
    return sum(map(int, _IN_USE.findall(told)))


def tcp_sockets_in(state: str) -> int | None:
    """Return how many TCP sockets are in a state of proc_net(5), sockstat: "tw", "orphan".

    Those in TIME_WAIT are of this network namespace, orphans of the host.
    """
    found = re.search(rf"^TCP:.* {state} (\d+)", _read(_NET + "sockstat"), re.MULTILINE)
    return int(found[1]) if found else None


class NeighbourTable(NamedTuple):
    """The table of IPv4 neighbours of the host: entries, and how often there was no room."""

    entries: int
    fulls: int


def neighbours() -> NeighbourTable:
    """Return what the kernel counts of its ARP table; 0 before Linux 2.6.16, and 3.19 (fulls)."""
    head, *lines = _read(_NET + "stat/arp_cache").splitlines() or [""]
    names, rows = head.split(), [line.split() for line in lines]
    if not rows or "entries" not in names:
        return NeighbourTable(0, 0)
    at = names.index("table_fulls") if "table_fulls" in names else None
    fulls = sum([int(row[at], 16) for row in rows]) if at is not None else 0
    return NeighbourTable(int(rows[0][names.index("entries")], 16), fulls)


def conntrack_dropped() -> int:
    """Return the packets that connection tracking dropped; 0 on a kernel without it.

    That is nearly always for want of an entry. Of this thread's network namespace.
    """
    head, *lines = _read(_NET + "stat/nf_conntrack").splitlines() or [""]
    names = head.split()
    at = names.index("drop") if "drop" in names else 0
    return sum([int(line.split()[at], 16) for line in lines]) if at else 0


_PROTOCOLS = {
    ("in", "ipv4", "all"): "IpInReceives",
    ("out", "ipv4", "all"): "IpOutRequests",
    ("in", "ipv6", "all"): "Ip6InReceives",
    ("out", "ipv6", "all"): "Ip6OutRequests",
    ("in", "ip", "tcp"): "TcpInSegs",
    ("out", "ip", "tcp"): "TcpOutSegs",
    ("in", "ipv4", "udp"): "UdpInDatagrams",
    ("out", "ipv4", "udp"): "UdpOutDatagrams",
    ("in", "ipv6", "udp"): "Udp6InDatagrams",
    ("out", "ipv6", "udp"): "Udp6OutDatagrams",
    ("in", "ipv4", "icmp"): "IcmpInMsgs",
    ("out", "ipv4", "icmp"): "IcmpOutMsgs",
    ("in", "ipv6", "icmpv6"): "Icmp6InMsgs",
    ("out", "ipv6", "icmpv6"): "Icmp6OutMsgs",
}


def protocol_counters() -> dict[tuple[str, str, str], int]:
    """Return packets by way, link and protocol of this network namespace; "ip" is both versions."""
    counters = {**_pairs(_read(_NET + "snmp")), **_words(_read(_NET + "snmp6"))}
    return {kind: counters[name] for kind, name in _PROTOCOLS.items() if name in counters}


MOST_FDS = 1 << 16
"""File descriptors looked at in a process that is not known to hold what is sought."""


def fds(pid: int, first: int = 0, end: int | None = MOST_FDS) -> Iterator[tuple[str, str]]:
    """Yield (number, target) of a process's file descriptors, from `first` to `end`.

    Yield none where the process may not be looked at, or has gone. Raises OSError where no file is
    left to look at it with.
    """
    folder = f"/proc/{pid}/fd/"
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, first, end):
                try:
                    yield entry.name, os.readlink(folder + entry.name)
                except OSError:  # closed meanwhile
                    continue
    except OSError as refused:
        raise_if_short(refused)


def sockets(pid: int) -> set[int]:
    """Return the inodes of a process's sockets; none where it may not be looked at, or has gone."""
    return {inode for _, what in fds(pid, end=None) if (inode := _socket(what))}


def _socket(what: str) -> int:
    return int(what[8:-1]) if what.startswith("socket:[") else 0


def udp_ports() -> dict[int, int]:
    """Return the local port of each UDP socket of this network namespace, by the socket's inode."""
    lines = [line.split() for name in ("udp", "udp6") for line in _read(_NET + name).splitlines()]
    bound = (f for f in lines if len(f) > 9 and f[9].isdigit() and f[9] != "0")
    return {int(f[9]): int(f[1].rpartition(":")[2], 16) for f in bound}


def tun_holders(interface: str) -> list[int]:
    """Return the processes that hold a tun or tap device, as far as they may be looked at."""
    return [pid for pid in pids() if interface in _tuns(pid)]


def _tuns(pid: int) -> set[str]:
    found: set[str] = set()
    for fd, what in fds(pid):
        if what.endswith("/net/tun"):
            lines = _read_bytes(f"/proc/{pid}/fdinfo/{fd}").split(b"\n")
            found |= {os.fsdecode(n[4:].strip()) for n in lines if n.startswith(b"iff:")}
    return found


def _io(pid: int) -> tuple[int, int] | None:
    try:
        with open(f"/proc/{pid}/io", "rb") as f:
            values = dict(line.split(b": ") for line in f.read().splitlines())
        return int(values[b"syscr"]), int(values[b"syscw"])
    except OSError as refused:
        raise_if_short(refused)
        return None
    except (KeyError, ValueError):
        return None


def _read(path: str) -> str:
    """Read a file in which nobody but the kernel chose any text."""
    return _read_bytes(path).decode("ascii", "replace")


def _read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as refused:  # a kernel without IPv6, or without the file
        raise_if_short(refused)
        return b""


def _pairs(text: str) -> dict[str, int]:
    """Parse /proc/net/snmp: lines of names, then of numbers, with the group before them."""
    counters = {}
    lines = text.splitlines()
    for names, numbers in zip(lines[::2], lines[1::2], strict=False):
        group, _, rest = names.partition(":")
        for name, value in zip(rest.split(), numbers.partition(":")[2].split(), strict=False):
            counters[group + name] = int(value)
    return counters


def _words(text: str) -> dict[str, int]:
    """Parse /proc/net/snmp6: a name and a number on each line."""
    return {f[0]: int(f[1]) for line in text.splitlines() if len(f := line.split()) == 2}


def _softnet(text: str) -> int:
    """Sum the 2nd number (hexadecimal: drops) of each CPU's line in /proc/net/softnet_stat."""
    return sum(int(line.split()[1], 16) for line in text.splitlines())
