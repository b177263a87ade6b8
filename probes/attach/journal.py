"""Files in which a process records what outlives it. `persistent` says what is in them.

      /run/ebpftop/<pid>.<start time>.json

A file stays locked (flock) while its process lives. One without a lock is that of a process that
was killed, in any pid namespace, even if another process has its pid now. While a file is being
written its name ends in NEW: if the process is killed then, nothing was attached yet, or what was
is in the previous file.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from errno import ENOENT, ENOSPC
from pathlib import Path

from probes.kernel import procfs
from probes.units import printable

RUN = Path("/run/ebpftop")
NEW = ".new"
KINDS = ("xdp", "clsact", "qdisc", "cgroup")
_FORMAT = "ebpftop-lasting/1"
_LARGEST = 1 << 16
_TRIES = 5
_TYPES = [str, str, str, int, int, str, int, int]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One lasting attachment.

    kind: one of KINDS. place: XDP mode, clsact direction, the cgroup's path. program, program_id:
    what is attached (for a qdisc: what it was made for). filter: the clsact filter's name.
    netns: inode of the network namespace (0 for a cgroup).
    """

    kind: str
    place: str
    program: str
    program_id: int
    ifindex: int = 0
    filter: str = ""
    attach_type: int = 0
    netns: int = 0

    def __str__(self) -> str:
        what = "the qdisc made for" if self.kind == "qdisc" else f"the {self.kind} program"
        where = printable(self.place) if self.kind == "cgroup" else f"interface {self.ifindex}"
        return f"{what} {printable(self.program)}#{self.program_id} on {where}"


def own_file(directory: Path) -> Path:
    """Return the file of this process's records; no later process with its pid has the same."""
    return directory / f"{os.getpid()}.{procfs.started(os.getpid())}.json"


def write(file: Path, records: list[JournalEntry]) -> int:
    """Put a new file, already locked, in the old one's place; return the fd that locks it."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    if not private(file.parent):
        raise PermissionError(1, "it is not private to this user")
    content = {"format": _FORMAT, "records": [asdict(r) for r in records]}
    for _ in range(_TRIES):
        try:
            return _write(file, json.dumps(content).encode())
        except FileNotFoundError:
            continue  # it was taken for a dead process's in the moment before it was locked
    raise FileNotFoundError(ENOENT, f"{file.name} keeps being removed by others")


def _write(file: Path, content: bytes) -> int:
    new = file.with_suffix(NEW)
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.write(fd, content) < len(content):
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        new.rename(file)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        os.close(fd)
        raise
    return fd


def unfinished(file: Path) -> bool:
    """Remove a file that ends in NEW if its process died over it; return whether it did."""
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not _private(os.fstat(fd), stat.S_IFREG):
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if file.stat().st_ino != os.fstat(fd).st_ino:
            return False
        file.unlink()
    except (BlockingIOError, FileNotFoundError):  # it is being written, or was renamed
        return False
    finally:
        os.close(fd)
    return True


@contextmanager
def orphaned(file: Path) -> Iterator[list[JournalEntry]]:
    """Yield the records of a dead process, locked meanwhile; none of a living one.

    Raises ValueError for a file that is not one of ours, OSError where it cannot be read.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        opened = os.fstat(fd)
        if not _private(opened, stat.S_IFREG):
            raise ValueError("not private to this user")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            dead = file.stat().st_ino == opened.st_ino
        except (BlockingIOError, FileNotFoundError):  # its process lives, or it was just swept
            dead = False
        yield parse(os.read(fd, _LARGEST + 1)) if dead else []
    finally:
        os.close(fd)


def parse(data: bytes) -> list[JournalEntry]:
    """Parse a file's records. Raises ValueError for anything that `write` cannot have written."""
    if len(data) > _LARGEST:
        raise ValueError("too large")
    try:
        found = json.loads(data)
        if found["format"] != _FORMAT:
            raise ValueError("another format")
        records = [JournalEntry(**fields) for fields in found["records"]]
    except (KeyError, TypeError, RecursionError):
        raise ValueError("another format") from None
    for record in records:
        if [type(v) for v in asdict(record).values()] != _TYPES or record.kind not in KINDS:
            raise ValueError("another format")
    return records


def private(directory: Path) -> bool:
    """Return whether only this user can have put anything there."""
    return _private(directory.lstat(), stat.S_IFDIR)


def _private(status: os.stat_result, kind: int) -> bool:
    return (
        stat.S_IFMT(status.st_mode) == kind
        and status.st_uid == os.geteuid()
        and not status.st_mode & 0o077
    )
