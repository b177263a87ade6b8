"""The register of what outlives the process: netlink XDP, clsact filters, cgroup attachments.

    /run/ebpftop/<pid>.<start time>.json      one for each process that has something lasting

A record is written before its attachment is made and removed after it is undone. The file stays
locked (flock) while its process lives, so that a file without a lock is one of a process that was
killed, whatever pid namespace it lived in and whoever has its pid now. `sweep`, at the next start,
removes what such a file names, if program id and name show that it is still exactly that.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TypeVar

from probes import bpf, clsact, netlink, procfs, xdp_netlink
from probes.errors import Denied, ProbeError
from probes.units import printable

T = TypeVar("T")
Detach = Callable[[], None]

RUN = Path("/run/ebpftop")
_FORMAT = "ebpftop-lasting/1"
_LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Record:
    """One lasting attachment.

    kind: xdp, clsact, qdisc or cgroup. place: XDP mode, clsact direction, the cgroup's path.
    filter: the clsact filter's name. program, program_id: what is attached (for a qdisc: what it
    was made for). netns: inode of the network namespace (0 for a cgroup).
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
        where = self.place if self.kind == "cgroup" else f"interface {self.ifindex}"
        what = "the qdisc of " if self.kind == "qdisc" else ""
        return f"{what}{self.kind} {printable(self.program)}#{self.program_id} on {where}"


class Register:
    """This process's lasting attachments and their file. Safe to use from several threads.

    There is one for each process and directory: `register`.
    """

    def __init__(self, directory: Path = RUN) -> None:
        self._directory = directory
        self._file = directory / f"{os.getpid()}.{procfs.started(os.getpid())}.json"
        self._records: list[Record] = []
        self._fd = -1
        self._lock = Lock()

    def xdp(self, ifindex: int, prog_fd: int, mode: str) -> Detach:
        """`xdp_netlink.xdp_attach`, recorded; returns what undoes it."""
        info = bpf.prog_info(prog_fd)
        return self.keep(
            Record("xdp", mode, info.name, info.id, ifindex, netns=_netns()),
            lambda: xdp_netlink.xdp_attach(ifindex, prog_fd, mode),
            lambda id: xdp_netlink.xdp_detach(ifindex, mode, id),
        )

    def clsact(self, ifindex: int, direction: str, prog_fd: int, name: str) -> Detach:
        """`clsact.clsact_attach`, recorded; returns what undoes it.

        The qdisc goes with the last of our filters if we made it, in whatever order they go.
        """
        info = bpf.prog_info(prog_fd)
        netns = _netns()
        qdisc = Record("qdisc", "", info.name, info.id, ifindex, netns=netns)
        if clsact.qdisc(ifindex) is None:
            self._add(qdisc)
        try:
            return self.keep(
                Record("clsact", direction, info.name, info.id, ifindex, name, netns=netns),
                lambda: clsact.clsact_attach(ifindex, direction, prog_fd, name),
                lambda made: self._drop_filter(made, netns),
            )
        except BaseException:
            if clsact.qdisc(ifindex) is None:
                self._remove(qdisc)
            raise

    def keep(
        self, record: Record, attach: Callable[[], T], detach: Callable[[T], object]
    ) -> Detach:
        """Records, then attaches; the function it returns detaches, then strikes the record out.

        Where `detach` raises, the record stays, so that the next start tries again.
        Raises what `attach` raises, and Denied where nothing can be recorded.
        """
        self._add(record)
        try:
            attached = [attach()]
        except BaseException:
            self._remove(record)
            raise

        def undo() -> None:
            if attached:
                detach(attached[0])
                attached.clear()
                self._remove(record)

        return undo

    def _drop_filter(self, filter: clsact.ClsactFilter, netns: int) -> None:
        clsact.clsact_detach(filter)
        for record in tuple(self._records):
            if (record.kind, record.ifindex, record.netns) == ("qdisc", filter.ifindex, netns):
                clsact.remove_qdisc(filter.ifindex)
                if clsact.qdisc(filter.ifindex) is None:
                    self._remove(record)

    def _add(self, record: Record) -> None:
        with self._lock:
            self._write([*self._records, record])

    def _remove(self, record: Record) -> None:
        with self._lock:
            if record in self._records:
                left = list(self._records)
                left.remove(record)
                self._write(left)

    def _write(self, records: list[Record]) -> None:
        """Puts a new file, already locked, in the old one's place."""
        try:
            fd = _replace(self._file, records) if records else -1
            if not records:
                self._file.unlink(missing_ok=True)
        except OSError as e:
            raise Denied(
                f"{self._directory} cannot record what would outlive this process: {e.strerror}",
                errno=e.errno or 0,
                remedy="run as root",
            ) from e
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._records = fd, records


@cache
def register() -> Register:
    """This process's register."""
    return Register()


def sweep(directory: Path = RUN) -> list[str]:
    """Removes what killed processes of ours left behind; a sentence for each thing worth saying.

    Run at the start. Files of living processes are left alone; so is what is not exactly as it
    was recorded, and every file that is not one of ours.
    """
    try:
        if not _private(os.lstat(directory), stat.S_IFDIR):
            return [f"{directory} is not a directory of this user alone: left as it is"]
        files = sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as e:
        return [f"{directory} cannot be read: {e.strerror}"]
    return [sentence for file in files for sentence in _sweep(file)]


def _sweep(file: Path) -> Iterator[str]:
    shown = printable(str(file))
    try:
        with _orphan(file) as fd:
            if fd is None:
                return
            records = _parse(os.read(fd, _LARGEST + 1))
            # Filters before the qdiscs that they sit in.
            records.sort(key=lambda r: r.kind == "qdisc")
            kept = []
            for record in records:
                done, sentence = _undo(record)
                if sentence:
                    yield sentence
                if not done:
                    kept.append(record)
            if not kept:
                file.unlink(missing_ok=True)
    except OSError as e:
        yield f"{shown} cannot be read: {e.strerror}: left as it is"
    except ValueError as e:
        yield f"{shown} is no record of ours ({e}): left as it is"


@contextmanager
def _orphan(file: Path) -> Iterator[int | None]:
    """The locked file of a dead process, or None. Raises ValueError for what is not ours."""
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        opened = os.fstat(fd)
        if not _private(opened, stat.S_IFREG):
            raise ValueError("not a file of this user alone")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = file.stat().st_ino == opened.st_ino
        except (BlockingIOError, FileNotFoundError):  # its process lives, or it was just swept
            current = False
        yield fd if current else None
    finally:
        os.close(fd)


def _private(status: os.stat_result, kind: int) -> bool:
    """Whether nobody else can have written it."""
    return (
        stat.S_IFMT(status.st_mode) == kind
        and status.st_uid == os.geteuid()
        and not status.st_mode & 0o077
    )


def _parse(data: bytes) -> list[Record]:
    if len(data) > _LARGEST:
        raise ValueError("too large")
    found = json.loads(data)
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise ValueError("another format")
    try:
        records = [Record(**fields) for fields in found["records"]]
    except (KeyError, TypeError):
        raise ValueError("another format") from None
    for record in records:
        types = [type(v) for v in asdict(record).values()]
        if types != [str, str, str, int, int, str, int, int] or record.kind not in _UNDO:
            raise ValueError("another format")
    return records


def _replace(file: Path, records: list[Record]) -> int:
    """Writes atomically; returns the fd that holds the new file's lock."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    if not _private(os.lstat(file.parent), stat.S_IFDIR):
        raise PermissionError(1, "it is not a directory of this user alone")
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        content = {"format": _FORMAT, "records": [asdict(r) for r in records]}
        os.write(fd, json.dumps(content).encode())
        new.rename(file)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _netns() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


def _undo(record: Record) -> tuple[bool, str]:
    """Whether the record is settled, and a sentence if something was done or could not be."""
    name = bpf.prog_name(record.program_id)
    if record.kind != "qdisc" and name != record.program:
        return True, ""  # that program is in no hook any more
    if record.netns and record.netns != _netns():
        if name != record.program:
            return True, ""
        return False, f"{record} was left behind in another network namespace: start it there once"
    try:
        removed = _UNDO[record.kind](record)
    except (ProbeError, OSError) as e:
        return False, f"{record}, left behind by a killed ebpftop, could not be removed: {e}"
    return True, f"removed {record}, left behind by a killed ebpftop" if removed else ""


def _undo_xdp(record: Record) -> bool:
    return xdp_netlink.xdp_detach(record.ifindex, record.place, record.program_id)


def _undo_clsact(record: Record) -> bool:
    if record.place not in netlink.DIRECTIONS:
        return False
    return clsact.remove_filter(record.ifindex, record.place, record.filter, record.program_id)


def _undo_qdisc(record: Record) -> bool:
    return clsact.remove_qdisc(record.ifindex)


def _undo_cgroup(record: Record) -> bool:
    try:
        cgroup = os.open(record.place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if record.program_id not in bpf.prog_query(cgroup, record.attach_type):
            return False
        program = bpf.prog_fd_by_id(record.program_id)
        try:
            bpf.prog_detach(program, cgroup, record.attach_type)
        finally:
            os.close(program)
    finally:
        os.close(cgroup)
    return True


_UNDO: dict[str, Callable[[Record], bool]] = {
    "xdp": _undo_xdp,
    "clsact": _undo_clsact,
    "qdisc": _undo_qdisc,
    "cgroup": _undo_cgroup,
}
