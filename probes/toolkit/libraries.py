"""Libraries that processes have loaded, each file once, followed with uprobes.

In a container a library is another file, found through the root of a process that has it. One file
may be seen under two names (layers of an overlay): programs that follow must count a call once even
if two of them run at it.

Any user can give a file such a name, make many of them, and put them on a file system that never
answers. So the search runs beside the readings, which never wait for it, and skips what takes too
long.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, thread_time
from typing import NamedTuple

from probes.attach.background import Background
from probes.attach.uprobe import Uprobe, Uretprobe
from probes.errors import ProbeError, as_refusal, passing, short
from probes.kernel import patience
from probes.kernel.patience import TookTooLong
from probes.kernel.procfs import pids, started
from probes.kernel.remembered import remembered
from probes.model import Opening, Reading
from probes.toolkit.readers import Open

WALK_REST = 20.0
"""Pause as a multiple of the CPU time of a look at all processes: 5 % of one CPU."""
LOOK_SECONDS = 2.0
"""Least seconds between two looks, and between looks at young processes only."""
YOUNG = 20.0
"""Seconds for which a new process is looked at often: it may still load what it needs."""
AT_ONCE, SLOWLY = 0.5, 4.0
"""Seconds that a look may take in one go; and the pause after that, as a multiple of them."""
FIRST = 5.0
"""Seconds to wait for the first look, so that existing libraries are counted from the start."""
OF_PROCESS, OF_FILE = 1.0, 5.0
"""Seconds for one process's maps, and for attaching to one file."""
MOST_BYTES = 1 << 26
"""Bytes of one process's maps that are read, at the most."""
MOST_FILES, MOST_OF_USER = 256, 8
"""Files of one name that are followed at once; and those of a user other than root."""
LIBC = r"libc\.so\.6|libc-2\.\d+\.so|ld-musl-\w+\.so\.1|libc\.musl-\w+\.so\.1"

MappedFile = tuple[bytes, bytes]
"""The device and inode of a mapped file, as /proc/PID/maps shows them."""


class Loaded(NamedTuple):
    """A file whose name matches the regular expression `pattern`, mapped by a process of `uid`."""

    pattern: str
    id: MappedFile
    path: str
    uid: int


Process = tuple[int, int]
"""A process's number, and when it began."""


def loaded(
    patterns: Sequence[str],
    stuck: set[Process],
    processes: Iterable[Process] | None = None,
) -> Iterator[Loaded]:
    """Yield every mapped file with such a name, once for each process that has it.

    stuck: processes that could not be read in time; they are skipped, and more may be added.
    processes: only these; None: all.
    """
    lines = [(p, _line(p)) for p in patterns]
    for who in _there() if processes is None else processes:
        pid = who[0]
        if who in stuck:
            continue
        try:
            found, uid = patience.within(2 * OF_PROCESS, partial(_mapped, pid, lines))
        except TookTooLong:
            stuck.add(who)
            continue
        except OSError as refused:
            if short(refused.errno):
                raise  # else its files would count as those that no process has any more
            continue  # it has gone, or may not be looked at
        for (pattern, id), path in found.items():
            yield Loaded(pattern, id, f"/proc/{pid}/{path}", uid)


def _there() -> Iterator[Process]:
    return ((pid, started(pid) or 0) for pid in pids())


def _line(pattern: str) -> re.Pattern[bytes]:
    return re.compile(
        rb"^([0-9a-f]+)-([0-9a-f]+) ..x. [0-9a-f]+ (\S+) (\d+) +(/(?:[^\n]*/)?(?:"
        + pattern.encode()
        + rb"))( \(deleted\))?\n",
        re.MULTILINE,
    )


def _mapped(
    pid: int, lines: Sequence[tuple[str, re.Pattern[bytes]]]
) -> tuple[dict[tuple[str, MappedFile], str], int]:
    """Return files by where they are found below the process's folder.

    A file that an upgrade deleted counts as long as it is mapped.
    """
    found: dict[tuple[str, MappedFile], str] = {}
    folder, until = Path("/proc", str(pid)), monotonic() + OF_PROCESS
    uid = folder.stat().st_uid
    with (folder / "maps").open("rb", buffering=0) as maps:
        rest, read = b"", 0
        while (part := maps.read(1 << 16)) and read < MOST_BYTES and monotonic() < until:
            read += len(part)
            whole, newline, rest = (rest + part).rpartition(b"\n")
            for pattern, line in lines:
                for begin, end, device, inode, path, deleted in line.findall(whole + newline):
                    where = f"root{os.fsdecode(path)}"
                    if deleted:
                        where = f"map_files/{int(begin, 16):x}-{int(end, 16):x}"
                    if len(found) < MOST_FILES:
                        found.setdefault((pattern, (device, inode)), where)
    return found, uid


def own_libc() -> str:
    """Return this process's C library, to test whether uprobes are available at all."""
    return _mapped_libc() or "/lib/libc.so.6"


@remembered
def _mapped_libc() -> str:
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_bytes().split(b"\n"):
            path = os.fsdecode(line.split(maxsplit=5)[-1]) if line else ""
            if re.fullmatch(LIBC, path.rpartition("/")[2]):
                return path
    return ""


@dataclass(frozen=True, slots=True)
class Probed:
    """A C function of the rung and its place in the library."""

    function: str
    symbol: str
    returns: bool = False


Key = tuple[str, MappedFile]


class Following:
    """Programs kept attached to every file of a name that some process has loaded by now.

    pattern -> programs and their places. A file that lacks a function is left alone as a whole:
    half of the counts would be wrong. Nothing is raised for a file that is refused.
    """

    def __init__(self, opening: Opening, wanted: Mapping[str, Sequence[Probed]]) -> None:
        self._opening, self._wanted = opening, wanted
        self._users: dict[Key, int] = {}
        "The user of each file that is followed, or was refused, and still exists."
        self._stuck: set[Process] = set()
        self._seen: dict[Process, float] = {}
        "When each process was seen first."
        self._late: set[int] = set()
        "Users whose files took too long."
        self._next_whole = 0.0
        self._background = Background[Key](self._look, opening.stack)

    def look(self, wait: float = 0.0) -> None:
        """Follow new files and release those that no process has any more, in the background.

        wait: seconds for existing files to be attached. Raises what the last look ended with.
        """
        self._background.keep_up(wait)

    def _look(self) -> None:
        begin, cpu, pace = monotonic(), thread_time(), _Pace(self._background.left)
        whole = begin >= self._next_whole
        try:
            young = self._young(begin)
            self._walk(pace, None if whole else young)
        finally:
            end = monotonic()
            pause = max(LOOK_SECONDS, WALK_REST * (thread_time() - cpu))
            if whole:
                self._next_whole, pause = end + pause, LOOK_SECONDS
            self._background.pause = pause

    def _young(self, now: float) -> list[Process]:
        self._seen = {who: self._seen.get(who, now) for who in _there()}
        self._stuck.intersection_update(self._seen)
        return [who for who, since in self._seen.items() if now - since < YOUNG]

    def _walk(self, pace: _Pace, processes: Iterable[Process] | None) -> None:
        """Walk over processes.

        Only a walk over all of them tells which files no process has any more.
        """
        there: set[Key] = set()
        for one in loaded(tuple(self._wanted), self._stuck, processes):
            key = (one.pattern, one.id)
            there.add(key)
            if key not in self._users and self._may(one):
                self._follow(key, one)
            pace.keep()
            if self._background.left.is_set():
                return
        if processes is not None:
            return
        for key in self._users.keys() - there:
            self._background.let_go(key)
            del self._users[key]

    def _may(self, one: Loaded) -> bool:
        uids = [uid for (pattern, _), uid in self._users.items() if pattern == one.pattern]
        return len(uids) < MOST_FILES and (
            one.uid == 0 or (one.uid not in self._late and uids.count(one.uid) < MOST_OF_USER)
        )

    def _follow(self, key: Key, one: Loaded) -> None:
        """Follow a file.

        It is not tried again while it exists, unless the host was short of something.
        """
        self._users[key] = one.uid
        begin = monotonic()
        refused = self._attach(key, one.path)
        if monotonic() - begin > OF_FILE:
            self._late.add(one.uid)  # one of theirs is enough
        elif refused is not None and passing(refused):
            del self._users[key]

    def _attach(self, key: Key, path: str) -> ProbeError | None:
        """Attach to a file; return why not."""
        made, opening = ExitStack(), self._opening
        try:
            for p in self._wanted[key[0]]:
                if self._background.left.is_set():
                    return None
                point = (Uretprobe if p.returns else Uprobe)(path, p.symbol)
                opening.attach(point, opening.functions[p.function], p.function, made)
            self._background.hold(key, made)
        except (ProbeError, OSError) as refused:
            return as_refusal(refused, "attaching")
        finally:
            self._background.close_later(made)
        return None


class _Pace:
    """Pauses within a look that takes long, until `end`, as other threads have work too."""

    def __init__(self, end: threading.Event) -> None:
        self._end, self._since = end, monotonic()

    def keep(self) -> None:
        worked = monotonic() - self._since
        if worked > AT_ONCE:
            self._end.wait(SLOWLY * worked)
            self._since = monotonic()


def following(open: Open, wanted: Mapping[str, Sequence[Probed]]) -> Open:
    """Return `open`, with libraries followed before each reading."""

    def opened(opening: Opening) -> Callable[[], Reading]:
        follow, read = Following(opening, wanted), open(opening)
        follow.look(FIRST)

        def look_and_read() -> Reading:
            follow.look()
            return read()

        return look_and_read

    return opened
