"""Programs and libraries that are replaced while they are probed: an upgrade makes another file.

A uprobe is at a file, not at its name. Processes that have the old one mapped are counted as long
as they have; those that begin later have the new one, so the same programs go there as well.
"""

from __future__ import annotations

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

SECONDS = 2.0
"""From the end of a look at a file to the next."""
PATIENCE = 1.0
"""Seconds that are waited for the file system."""
MAX_FILES = 8
"""Files of one name that are probed at once, the first one beside them; the oldest goes."""


class LoadedProgram(NamedTuple):
    """A program that is to be put at a file: where in it, its instructions, and its name."""

    point: Point
    insns: bytes
    function: str


class FileId(NamedTuple):
    """Which file has a name."""

    device: int
    inode: int


class Contents(NamedTuple):
    """By what it is seen that a file was written to in its place."""

    size: int
    written: int


class _Refused(NamedTuple):
    """A new file that no program could be put at."""

    id: FileId
    contents: Contents
    refusal: ProbeError

    def tried_again(self, id: FileId, contents: Contents) -> bool:
        """Whether there is something else by now, or the host was only short of something."""
        return (self.id, self.contents) != (id, contents) or passing(self.refusal)


class ReplacedFile:
    """Follows one name, beside the readings. stack: unwinds when the rung is let go of."""

    def __init__(
        self, path: str, programs: Sequence[LoadedProgram], attach: Attach, stack: ExitStack
    ) -> None:
        self._path, self._programs, self._attach = path, programs, attach
        self._probed: dict[FileId, Contents] = {}
        """In the order in which they came."""
        self._first: FileId | None = None
        """What the rung itself is attached to: it stays as long as the rung."""
        self._first_is_known = True
        self._refused: _Refused | None = None
        self._said = ""
        try:
            self._found_first(*_look(path))
        except OSError as refused:  # gone since it was attached to: whatever comes is new
            self._first_is_known = no_such_file(refused.errno)
        self._background = Background[FileId](self._look, stack)
        self._background.pause = SECONDS

    def look(self) -> str:
        """Keep up with what has the name. Return what is to be said of the latest look, or ""."""
        self._background.keep_up()
        return self._said

    def _look(self) -> None:
        self._said = self._follow()

    def _follow(self) -> str:
        name = printable(self._path)
        try:
            id, contents = _look(self._path)
        except patience.TookTooLong:
            return f"it is not known whether {name} was replaced: its file system does not answer"
        except OSError as refused:
            if no_such_file(refused.errno):
                return (
                    f"{name} is not there any more: only processes that have it still are counted"
                )
            return f"it is not known whether {name} was replaced: {in_words(refused)}"
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
        """Attach to the file that has the name now. Return why not."""
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


def _written(name: str) -> str:
    return f"{name} was written to in its place: what is counted there may be something else by now"


def _look(path: str) -> tuple[FileId, Contents]:
    """Raises OSError, also where the file system does not answer.

    It is asked only where the kernel has not got it at hand: that takes a child, which would never
    end as long as it is asked again and again.
    """
    found = cached(path) or patience.within(PATIENCE, Path(path).stat)
    return FileId(found.st_dev, found.st_ino), Contents(found.st_size, found.st_mtime_ns)


def probed(
    programs: Sequence[Program], functions: Mapping[str, bytes], attach: Attach, stack: ExitStack
) -> list[ReplacedFile]:
    """Return what follows each file that these programs are attached to."""
    by_path: dict[str, list[LoadedProgram]] = {}
    for program in programs:
        if path := program.point.file:
            one = LoadedProgram(program.point, functions[program.function], program.function)
            by_path.setdefault(path, []).append(one)
    return [ReplacedFile(path, there, attach, stack) for path, there in by_path.items()]
