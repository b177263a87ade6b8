"""A user's own hook files: `hooks/*.py` in the configuration directory, each with a HOOK as ours.

Their code runs with all rights of this process. So a file is loaded only where it and every folder
on the way belong to this process's user or to root, and nobody else may write them: not a user's
files in a process that sudo started, unless they are root's. A broken file costs nothing but
itself: neither when it is loaded nor when its hook is attached and read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from probes.errors import ProbeError, Unexpected
from probes.kernel.users import user_name
from probes.model import Column, Hook, Kind, Opening, Program, Reach, Reading, Row, Rung, TargetKind
from probes.point import Point
from probes.recording.compat import types_of
from probes.units import Unit, printable

T = TypeVar("T")
_MOST_BYTES = 1 << 20


class _NotLoaded(Exception):
    """Why a file or a folder is not loaded; a sentence."""


@dataclass(frozen=True, slots=True)
class LoadedFiles:
    """Hooks of the files that were loaded; in `complaints`, a sentence for each that was not."""

    hooks: tuple[Hook, ...] = ()
    complaints: tuple[str, ...] = ()


def folder() -> Path | None:
    """Return the folder of hook files, whether it exists or not; None for a user without a home."""
    config = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        base = Path(config) if config.startswith("/") else Path.home() / ".config"
    except RuntimeError:
        return None
    return base / "ebpftop" / "hooks"


@cache
def load(place: Path | None, taken: frozenset[str]) -> LoadedFiles:
    """Return the hooks of all files there. taken: names that are ours. Never raises."""
    try:
        if place is None or not place.is_dir():
            return LoadedFiles()
    except PermissionError:  # of another user's home, which setpriv and the like leave behind
        return LoadedFiles()
    try:
        _trust(place.resolve())
        files = sorted(place.glob("*.py"))
    except (_NotLoaded, OSError) as refused:
        return LoadedFiles(complaints=(f"hook files not loaded: {printable(str(refused))}",))
    hooks: dict[str, Hook] = {}
    complaints = []
    for file in files:
        try:
            hook = _loaded(file)
            if hook.name in taken or hook.name in hooks:
                raise _NotLoaded(f"a hook {hook.name} exists already")
            hooks[hook.name] = hook
        except (_NotLoaded, OSError) as refused:
            complaints.append(f"hook file not loaded: {printable(f'{file}: {refused}')}")
    return LoadedFiles(tuple(hooks.values()), tuple(complaints))


# -- whose it is -----------------------------------------------------------------------------


def _trust(path: Path) -> None:
    """Raise _NotLoaded where somebody else may change what is at a resolved path."""
    for place in (path, *path.parents):
        _trusted(place, place.lstat())


def _trusted(place: Path, about: os.stat_result) -> None:
    if about.st_uid not in (os.geteuid(), 0):
        wanted = user_name(os.geteuid()) + ("" if os.geteuid() == 0 else " or root")
        raise _NotLoaded(f"{place} belongs to {user_name(about.st_uid)}, not to {wanted}")
    # In a sticky folder (/tmp) everybody may make files, but not touch others'.
    sticky = stat.S_ISDIR(about.st_mode) and about.st_mode & stat.S_ISVTX
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        raise _NotLoaded(f"others may write to {place}: run chmod go-w {place}")


# -- what is in it ---------------------------------------------------------------------------


def _loaded(file: Path) -> Hook:
    """Return the hook of a file. Raises _NotLoaded with what is wrong with it."""
    path = file.resolve()
    _trust(path)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as opened:
        about = os.fstat(fd)  # of what is read, whatever has its name by now
        _trusted(path, about)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _MOST_BYTES:
            raise _NotLoaded("it is not a regular file, or it is too large")
        text = opened.read()
    names: dict[str, Any] = {"__name__": f"ebpftop_hook_{path.stem}", "__file__": str(path)}
    try:
        exec(compile(text, str(path), "exec"), names)
        return _guarded(_checked(names.get("HOOK")), path.name)
    except _NotLoaded:
        raise
    except (Exception, SystemExit) as broken:
        raise _NotLoaded(_words(broken)) from None


def _words(broken: BaseException) -> str:
    if isinstance(broken, SyntaxError):
        return f"line {broken.lineno}: {broken.msg}"
    return f"{type(broken).__name__}: {' '.join(str(broken).split())}"


def _checked(hook: object) -> Hook:
    """Return the hook, if all that others rely on is of the right type. Raises _NotLoaded."""
    if not isinstance(hook, Hook):
        raise _NotLoaded("it has no HOOK = Hook(...)")
    for wrong in _wrong(hook):
        raise _NotLoaded(wrong)
    return hook


def _wrong(hook: Hook) -> Iterator[str]:
    if not (isinstance(hook.name, str) and re.fullmatch(r"[a-z]+(-[a-z]+)*", hook.name)):
        yield "the hook's name must be lower-case words joined by -"
    yield from _mistyped("HOOK", hook, {"title": str, "question": str, "columns": tuple,
                         "ladder": tuple, "log": tuple, "target": TargetKind, "reach": Reach,
                         "order": int, "on_demand": bool})  # fmt: skip
    for column in (*hook.columns, *hook.log):
        types = {"name": str, "title": str, "unit": Unit, "kind": Kind, "field": str | None}
        yield from _mistyped("a column", column, {**types, "width": int, "help": str})
    if not hook.ladder or not any(c.kind is Kind.KEY for c in hook.columns):
        yield "a hook needs at least one rung, and one column of Kind.KEY"
    for rung in hook.ladder:
        if not isinstance(rung, Rung):
            yield "a ladder may hold Rung(...) only"
        yield from _mistyped("a rung", rung, {"name": str, "requires": str, "programs": tuple,
                             "types": tuple})  # fmt: skip
        if not callable(rung.open) or not (isinstance(rung.source, str) or callable(rung.source)):
            yield f"the rung {rung.name} has no function open, or no C"
        for program in rung.programs:
            right = isinstance(program, Program) and isinstance(program.function, str)
            if not right or not isinstance(program.point, Point):
                yield f"programs of the rung {rung.name} must be Program(function, point)"


def _mistyped(what: str, value: object, types: Mapping[str, Any]) -> Iterator[str]:
    for name, type_ in types.items():
        given = getattr(value, name, None)
        if not isinstance(given, type_):
            wanted = getattr(type_, "__name__", str(type_))
            yield f"{name} of {what} is {type(given).__name__}, not {wanted}"


# -- what it does later ----------------------------------------------------------------------


def _guarded(hook: Hook, file: str) -> Hook:
    """Return the same hook.

    Any exception of its functions becomes a refusal of its rung, or no value.
    """
    return replace(
        hook,
        columns=tuple(_guarded_column(c) for c in hook.columns),
        ladder=tuple(_guarded_rung(r, file) for r in hook.ladder),
    )


def _guarded_column(column: Column) -> Column:
    derive = column.derive
    if derive is None:
        return column

    def guarded(added: Any) -> Any:
        try:
            return derive(added)
        except Exception:  # whatever somebody's function raises: there is no value then
            return None

    return replace(column, derive=guarded)


def _guarded_rung(rung: Rung, file: str) -> Rung:
    source, precheck = rung.source, rung.precheck

    def open(opening: Opening) -> Callable[[], Reading]:
        read = _or_refused(file, lambda: rung.open(opening))
        return lambda: _or_refused(file, lambda: _whole(opening.hook, read()))

    made = replace(rung, open=open)
    if callable(source):
        made = replace(made, source=lambda target: _or_refused(file, lambda: source(target)))
    if precheck is not None:
        made = replace(made, precheck=lambda: _or_refused(file, precheck))
    return made


def _whole(hook: Hook, reading: Reading) -> Reading:
    """Return the same reading, checked here, where it may fail.

    Rows have as many values as there are columns, each of its column's type: later code relies on
    it.
    """
    return Reading(
        _rows(reading.rows, hook.stored),
        int(reading.lost),
        _rows(reading.log, hook.log),
        int(reading.unlogged),
    )


def _rows(given: Iterable[Row], wanted: Sequence[Column]) -> list[Row]:
    rows = [tuple(row) for row in given]
    types = [types_of(column) for column in wanted]
    for row in rows:
        if len(row) != len(wanted):
            raise ValueError(f"a row has {len(row)} values for {len(wanted)} columns")
        for column, right, value in zip(wanted, types, row, strict=True):
            if type(value) not in right:
                raise TypeError(f"the column {column.name} holds a {type(value).__name__}")
        hash(row)  # TypeError for a list in a histogram
    return rows


def _or_refused(file: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except (ProbeError, OSError, MemoryError):
        raise
    except Exception as broken:
        raise Unexpected(f"{file}: {_words(broken)}") from None
