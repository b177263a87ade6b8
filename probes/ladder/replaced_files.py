"""Programs and libraries that are replaced while they are probed: an upgrade makes another file.

A uprobe is at a file, not at its name. Processes that have the old one mapped are counted as long
as they have it; those that begin later have the new one, so the same programs go there as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from probes.attach.background import Background
from probes.errors import ProbeError, as_refusal, in_words, no_such_file, passing
from probes.kernel import patience
from probes.kernel.cached_stat import cached
from probes.model import Attach, Program
from probes.point import Point
from probes.units import printable

LOOK_SECONDS = 2.0
"""Seconds from the end of a look at a file to the next."""
ANSWER_SECONDS = 1.0
"""Seconds to wait for the file system."""
_ROOT = re.compile(r"/proc/\d+/root(?=/)")
MAX_FILES = 8
"""Files of one name that are probed at once, besides the first; the oldest goes."""


class LoadedProgram(NamedTuple):
    """A program to attach to a file: its place there, its instructions, and its name."""

    point: Point
    insns: bytes
    function: str


class FileId(NamedTuple):
    """The identity of the file that has a name."""

    device: int
    inode: int


class Contents(NamedTuple):
    """The signs by which a write to a file in place is noticed."""

    size: int
    written: int


class _Refused(NamedTuple):
    """A new file to which no program could be attached."""

    id: FileId
    contents: Contents
    refusal: ProbeError

    def tried_again(self, id: FileId, contents: Contents) -> bool:
        """Return whether the file is another by now, or the host was only short of something."""
        return (self.id, self.contents) != (id, contents) or passing(self.refusal)


class ReplacedFile:
    """The follower of one name, beside the readings. stack: unwinds when the rung is released."""

    def __init__(
        self, path: str, programs: Sequence[LoadedProgram], attach: Attach, stack: ExitStack
    ) -> None:
        self._path, self._programs, self._attach = path, programs, attach
        self._probed: dict[FileId, Contents] = {}
        "In the order in which they came."
        self._first: FileId | None = None
        "The rung's own files: they stay as long as the rung."
        self._first_is_known = True
        self._refused: _Refused | None = None
        self._said = ""
        try:
            self._found_first(*_look(path))
        except OSError as refused:  # gone since it was attached to: whatever comes is new
            self._first_is_known = no_such_file(refused.errno)
        self._background = Background[FileId](self._look, stack)
        self._background.pause = LOOK_SECONDS

    def look(self) -> str:
        """Keep up with the file of that name; return a remark on the latest look, or ""."""
        self._background.keep_up()
        return self._said

    def _look(self) -> None:
        self._said = self._follow()

    def _follow(self) -> str:
        name = printable(self._path)
        try:
            id, contents = _look(self._path)
        except patience.TookTooLong:
            return f"{name} may have been replaced: its file system does not answer"
        except OSError as refused:
            if no_such_file(refused.errno):
                if _has_ended(self._path):
                    return ""  # the lookup of the process says so
                return f"{name} was removed: only processes that still have it are counted"
            return f"{name} may have been replaced: {in_words(refused)}"
        if not self._first_is_known:
            self._found_first(id, contents)
        if id in self._probed:
            return "" if self._probed[id] == contents else _written(name)
        if self._refused is None or self._refused.tried_again(id, contents):
            self._refused = self._take(id, contents)
        why = "" if self._refused is None else self._refused.refusal.why
        return why and f"{name} was replaced: the new file is not counted: {why}"

    def _found_first(self, id: FileId, contents: Contents) -> None:
        self._first, self._probed[id], self._first_is_known = id, contents, True

    def _take(self, id: FileId, contents: Contents) -> _Refused | None:
        """Attach to the file that has the name now; return why not."""
        made = ExitStack()
        try:
            for program in self._programs:
                self._attach(*program, made)
        except Exception as raised:
            return _Refused(id, contents, as_refusal(raised, "attaching"))
        else:
            self._probed[id] = contents
            self._background.hold(id, made)
        finally:
            self._background.close_later(made)
        later = [each for each in self._probed if each != self._first]
        for oldest in later[:-MAX_FILES]:
            del self._probed[oldest]
            self._background.let_go(oldest)
        return None


def _has_ended(path: str) -> bool:
    """Return whether it is a file as a process saw it, and that process has ended."""
    root = _ROOT.match(path)
    return root is not None and not Path(root[0]).exists()


def _written(name: str) -> str:
    return f"{name} was overwritten in place: counts there may be of something else now"


def _look(path: str) -> tuple[FileId, Contents]:
    """Return the file's identity. Raises OSError, also where the file system does not answer.

    It is asked only where the kernel has not cached the answer: that takes a child, which would
    never end if asked again and again.
    """
    found = cached(path) or patience.within(ANSWER_SECONDS, Path(path).stat)
    return FileId(found.st_dev, found.st_ino), Contents(found.st_size, found.st_mtime_ns)


def probed(
    programs: Sequence[Program], functions: Mapping[str, bytes], attach: Attach, stack: ExitStack
) -> list[ReplacedFile]:
    """Return the followers of each file that these programs are attached to."""
    by_path: dict[str, list[LoadedProgram]] = {}
    for program in programs:
        if path := program.point.file:
            one = LoadedProgram(program.point, functions[program.function], program.function)
            by_path.setdefault(path, []).append(one)
    return [ReplacedFile(path, there, attach, stack) for path, there in by_path.items()]
