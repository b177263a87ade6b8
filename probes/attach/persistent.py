"""Attachments that outlive the process: netlink XDP, clsact filters, cgroups without a link.

Each is recorded in a file (`journal`) before it is attached, and its record removed after it is
detached. `sweep`, at the next start, removes what a killed process left behind, if program id and
name show that it is still exactly that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import EACCES, ENOENT, EPERM, EROFS
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TypeVar

from probes.attach import journal
from probes.attach.journal import RUN, JournalEntry
from probes.errors import Denied, ProbeError, in_words, remedy
from probes.kernel import bpf
from probes.kernel.netlink import changes, clsact, route, xdp
from probes.kernel.procfs import netns
from probes.units import printable

T = TypeVar("T")
Detach = Callable[[], None]
OURS = "ebpftop"
"""Prefix of the names of all our programs and filters."""
_LEFT = "left behind by a killed ebpftop"


class Registry:
    """Lasting attachments of this process, and their file. Safe to use from several threads.

    There is one for each process and directory: `registry`. Every attach raises what attaching
    raises, and ProbeError where it cannot be recorded. What it returns detaches; where that raises,
    the record stays, so that the next start tries again; calling it twice is harmless. A record
    that cannot be removed is one of something that has gone: the next start sees that.
    """

    def __init__(self, directory: Path = RUN) -> None:
        self._directory = directory
        self._file: Path | None = None
        self._records: list[JournalEntry] = []
        self._fd = -1
        self._lock = Lock()
        self._undo: list[Detach] = []
        self._over = False

    def attach_xdp(self, ifindex: int, prog_fd: int, mode: str) -> Detach:
        """Attach by `xdp.xdp_attach`, recorded."""
        info = bpf.prog_info(prog_fd)
        return self.keep(
            JournalEntry("xdp", mode, info.name, info.id, ifindex, netns=netns()),
            lambda: xdp.xdp_attach(ifindex, prog_fd, mode),
            lambda id: xdp.xdp_detach(ifindex, mode, id),
        )

    def attach_clsact(self, ifindex: int, direction: str, prog_fd: int, name: str) -> Detach:
        """Attach by `clsact.clsact_attach`, recorded.

        A qdisc that we made goes with the last of our filters, in any order.
        """
        info = bpf.prog_info(prog_fd)
        here = netns()
        qdisc = JournalEntry("qdisc", "", info.name, info.id, ifindex, netns=here)
        if making := clsact.qdisc(ifindex) is None:
            self._add(qdisc)

        def attach() -> clsact.ClsactFilter:
            attached = clsact.clsact_attach(ifindex, direction, prog_fd, name)
            if making and not attached.made_qdisc:  # somebody was faster, and it is theirs
                self._remove(qdisc)
            return attached

        try:
            return self.keep(
                JournalEntry("clsact", direction, info.name, info.id, ifindex, name, netns=here),
                attach,
                lambda filter: self._detach_clsact(filter, here),
            )
        except (ProbeError, OSError):
            if making and clsact.qdisc(ifindex) is None:
                self._remove(qdisc)
            raise

    def attach_cgroup(self, path: Path, attach_type: int, prog_fd: int) -> Detach:
        """Attach to a cgroup beside others (BPF_F_ALLOW_MULTI), recorded. Raises OSError."""
        info = bpf.prog_info(prog_fd)

        def attach() -> None:
            cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                bpf.prog_attach(prog_fd, cgroup, attach_type, bpf.F_ALLOW_MULTI)
            finally:
                os.close(cgroup)

        record = JournalEntry("cgroup", str(path), info.name, info.id, attach_type=attach_type)
        return self.keep(record, attach, lambda _: _undo_cgroup(record))

    def keep(
        self, record: JournalEntry, attach: Callable[[], T], detach: Callable[[T], object]
    ) -> Detach:
        """Record, then attach; return what detaches, then removes the record."""
        if record.kind != "cgroup":
            changes.prepare()  # now, as we may be exiting by the time that it is there
        self._not_over()
        self._add(record)
        try:
            attached = [attach()]
        except (ProbeError, OSError):
            self._remove(record)
            raise

        def undo() -> None:
            if attached:
                detach(attached[0])
                attached.clear()
                self._remove(record)
                with suppress(ValueError):  # another thread has undone it, too
                    self._undo.remove(undo)

        self._undo.append(undo)
        if self._over:
            undo()
            self._not_over()
        return undo

    def _not_over(self) -> None:
        if self._over:
            raise ProbeError("ebpftop is exiting: nothing that would outlive it is attached")

    def release(self) -> None:
        """Detach everything, the last first, although others are about to do so or are stuck.

        What cannot be detached stays recorded, for the next start. Nothing can be attached any
        more.
        """
        self._over = True
        for undo in reversed(list(self._undo)):
            with suppress(Exception):  # it is gone already, or the others go all the same
                undo()

    def _detach_clsact(self, filter: clsact.ClsactFilter, here: int) -> None:
        clsact.clsact_detach(filter)
        for record in tuple(self._records):
            if (record.kind, record.ifindex, record.netns) == ("qdisc", filter.ifindex, here):
                clsact.remove_qdisc(filter.ifindex)
                if clsact.qdisc(filter.ifindex) is None:
                    self._remove(record)

    def _add(self, record: JournalEntry) -> None:
        with self._lock:
            self._write([*self._records, record])

    def _remove(self, record: JournalEntry) -> None:
        with self._lock:
            if record in self._records:
                left = list(self._records)
                left.remove(record)
                try:
                    self._write(left)
                except ProbeError:
                    self._records = left

    def _write(self, wanted: list[JournalEntry]) -> None:
        try:
            # Found once: at the end there may be no file left to find it with.
            file = self._file = self._file or journal.own_file(self._directory)
            fd = journal.write(file, wanted) if wanted else -1
            if not wanted:
                file.unlink(missing_ok=True)
        except OSError as e:
            raise _unrecorded(self._directory, e) from e
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._records = fd, wanted


@cache
def registry() -> Registry:
    """Return the registry of this process."""
    return Registry()


def unrecordable(directory: Path = RUN) -> ProbeError | None:
    """Return the refusal to expect where this process may not record what would outlive it.

    Whether there is space is only known once something is written.
    """
    place = directory if directory.exists() else directory.parent
    if os.access(place, os.W_OK | os.X_OK):
        return None
    code = EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else EACCES
    return _unrecorded(directory, OSError(code, os.strerror(code)))


def _unrecorded(directory: Path, refused: OSError) -> ProbeError:
    code = refused.errno or 0
    why = f"{directory} cannot record what would outlive this process: {in_words(refused)}"
    if code not in (EACCES, EPERM):
        return ProbeError(why, errno=code, remedy=remedy(code))
    if os.geteuid():
        return Denied(why, errno=code, remedy="Run as root (sudo).")
    return Denied(why, errno=code, remedy=_make_private(directory))


def _make_private(directory: Path) -> str:
    return f"Check its contents, then: chown root {directory}; chmod 700 {directory}."


def sweep(directory: Path = RUN) -> list[str]:
    """Remove what killed processes of ours left behind; return a sentence for each notable thing.

    Run at the start. What living processes attached is left alone, and so is everything that is not
    exactly as it was recorded, every file that is not one of ours, and all of it without root.
    """
    try:
        if directory.lstat().st_uid != os.geteuid() != 0:
            return []
        if not journal.private(directory):
            return [f"{directory} is not private to this user: left as it is"]
        files = sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as e:
        return [f"{directory} cannot be read ({in_words(e)}): left as it is"]
    return [sentence for file in files for sentence in _sweep(file)]


def _sweep(file: Path) -> Iterator[str]:
    try:
        if file.suffix == journal.NEW:
            journal.unfinished(file)
            return
        with journal.orphaned(file) as left:
            # Filters before the qdisc that they sit in.
            results = [_undo(r) for r in sorted(left, key=lambda r: r.kind == "qdisc")]
            yield from (sentence for _, sentence in results if sentence)
            if results and all(settled for settled, _ in results):
                file.unlink(missing_ok=True)
    except FileNotFoundError:
        return  # another start was faster, or its process ended in order
    except OSError as e:
        yield f"{printable(str(file))} cannot be read ({in_words(e)}): left as it is"
    except ValueError as e:
        yield f"{printable(str(file))} is not a record of ebpftop ({e}): left as it is"


def _undo(record: JournalEntry) -> tuple[bool, str]:
    """Return whether the record is settled, and a sentence if something was done or failed."""
    try:
        there = _loaded(record)
        if not there and (record.kind != "qdisc" or record.netns != netns()):
            return True, ""  # the kernel has no such program, so it is in no hook
        if record.netns and record.netns != netns():
            return False, f"{record}, {_LEFT}, is in another network namespace: left as it is"
        removed = _UNDO[record.kind](record)
        # A qdisc stays while filters are in it. Somebody's: it is theirs now. Of an ebpftop that
        # lives: it goes at a start after that.
        settled = removed or record.kind != "qdisc" or not _in_use_by_ours(record.ifindex)
    except (ProbeError, OSError) as e:
        return False, f"{record}, {_LEFT}, could not be removed: {e}"
    return settled, f"removed {record}, {_LEFT}" if removed else ""


def _in_use_by_ours(ifindex: int) -> bool:
    filters = (f for d in route.DIRECTIONS for f in route.filters(ifindex, d))
    return any(f.name.startswith(OURS) for f in filters)


def _loaded(record: JournalEntry) -> bool:
    """Return whether the program still exists; after a very long time another may have its id."""
    try:
        fd = bpf.prog_fd_by_id(record.program_id)
    except OSError as e:
        if e.errno == ENOENT:
            return False
        raise
    try:
        return bpf.prog_info(fd).name == record.program
    finally:
        os.close(fd)


def _undo_xdp(record: JournalEntry) -> bool:
    return xdp.xdp_detach(record.ifindex, record.place, record.program_id)


def _undo_clsact(record: JournalEntry) -> bool:
    if record.place not in route.DIRECTIONS:
        return False
    return clsact.remove_filter(record.ifindex, record.place, record.filter, record.program_id)


def _undo_qdisc(record: JournalEntry) -> bool:
    return clsact.remove_qdisc(record.ifindex)


def _undo_cgroup(record: JournalEntry) -> bool:
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


_UNDO: dict[str, Callable[[JournalEntry], bool]] = {
    "xdp": _undo_xdp,
    "clsact": _undo_clsact,
    "qdisc": _undo_qdisc,
    "cgroup": _undo_cgroup,
}
