"""Programs and libraries that are replaced while they are probed: an upgrade makes another file.

A uprobe is at a file, not at its name. Processes that have the old one mapped are counted as long
as they have; those that begin later have the new one, so the same programs go there as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from probes.attach.uprobe import Uprobe, Uretprobe
from probes.errors import ProbeError
from probes.kernel import patience
from probes.model import Attach, Program
from probes.point import Point
from probes.units import printable

SECONDS = 2.0
"""The least time between two looks at a file."""
PATIENCE = 1.0
"""Seconds that are waited for the file system."""
MAX_FILES = 8
"""Files of one name that are probed at once, the first one beside them; the oldest goes."""


class Probed(NamedTuple):
    """A program, where it goes in the file, and its name."""

    point: Point
    insns: bytes
    function: str


class Identity(NamedTuple):
    """Which file it is."""

    device: int
    inode: int


class Contents(NamedTuple):
    """By what it is seen that a file was written to in its place."""

    size: int
    written: int


@dataclass(slots=True)
class _File:
    """A file that is probed under a name. stack: what lets go of it."""

    id: Identity
    contents: Contents
    stack: ExitStack


class ReplacedFile:
    """Follows one name. stack: unwinds when the rung is let go of."""

    def __init__(
        self, path: str, programs: Sequence[Probed], attach: Attach, stack: ExitStack
    ) -> None:
        self._path, self._programs, self._attach = path, programs, attach
        self._files: list[_File] = []
        self._refused: tuple[Identity, Contents, str] | None = None
        self._next = 0.0
        self._said = ""
        with suppress(OSError):  # gone since it was attached to: whatever comes is new
            self._files.append(_File(*_look(path), ExitStack()))
        stack.callback(self._close)

    def look(self) -> str:
        """Attach to a file that is there by now. Return what is to be said, or ""."""
        if monotonic() >= self._next:
            self._said = self._follow()
            self._next = monotonic() + SECONDS
        return self._said

    def _follow(self) -> str:
        name = printable(self._path)
        try:
            id, contents = _look(self._path)
        except patience.TookTooLong:
            return f"it is not known whether {name} was replaced: its file system does not answer"
        except OSError:
            return f"{name} is not there any more: only processes that have it still are counted"
        held = next((file for file in self._files if file.id == id), None)
        if held is not None:
            return "" if held.contents == contents else _written(name)
        if self._refused is None or self._refused[:2] != (id, contents):
            self._refused = self._take(id, contents)
        return "" if self._refused is None else f"{name} was replaced: {self._refused[2]}"

    def _take(self, id: Identity, contents: Contents) -> tuple[Identity, Contents, str] | None:
        """Attach to the file that has the name now. Return why not."""
        with ExitStack() as made:
            try:
                for program in self._programs:
                    self._attach(*program, made)
            except ProbeError as refusal:
                return id, contents, f"the new file is not counted: {refusal.why}"
            self._files.append(_File(id, contents, made.pop_all()))
        if len(self._files) > MAX_FILES:
            self._files.pop(0).stack.close()
        return None

    def _close(self) -> None:
        while self._files:
            self._files.pop().stack.close()


def _written(name: str) -> str:
    return f"{name} was written to in its place: what is counted there may be something else by now"


def _look(path: str) -> tuple[Identity, Contents]:
    """Raises OSError, also where the file system does not answer."""
    found = patience.within(PATIENCE, Path(path).stat)
    return Identity(found.st_dev, found.st_ino), Contents(found.st_size, found.st_mtime_ns)


def probed(
    programs: Sequence[Program], functions: Mapping[str, bytes], attach: Attach, stack: ExitStack
) -> list[ReplacedFile]:
    """Return what follows each file that these programs are attached to."""
    by_path: dict[str, list[Probed]] = {}
    for program in programs:
        if isinstance(program.point, Uprobe | Uretprobe):
            one = Probed(program.point, functions[program.function], program.function)
            by_path.setdefault(program.point.path, []).append(one)
    return [ReplacedFile(path, there, attach, stack) for path, there in by_path.items()]
