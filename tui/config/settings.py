"""The user's settings: $XDG_CONFIG_HOME/ebpftop/settings.toml, read at start, saved by key.

The file belongs to the user: unknown keys and comments are preserved, and a file with errors is
never written to. An error costs that setting only, and is reported with its line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from probes.analysis.cases.ordinary import MOST_ORDINARY, OrdinaryEntry
from probes.recording import files
from tui.config import paths, toml
from tui.config.presets import FIELDS as PRESET_FIELDS
from tui.config.presets import Preset

UNITS = ("bytes", "bits")
ORDINARY = "ordinary"
"""The table of what is ordinary here."""
_ORDINARY_FIELDS = ("who", "until")
MIN_INTERVAL, MAX_INTERVAL = 0.1, 3600.0
"""Bounds of the interval, in seconds."""


class SettingsError(ValueError):
    """The settings cannot be saved; one sentence."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings; None or empty: not set.

    interval: seconds. pane: the first to be shown. panes: those with a tab, in that order. sort:
    pane -> column, "-" before it for descending. keys: binding id -> keys. hooks: custom hooks
    ("kprobe:vfs_read"), attached at start. ordinary: cases that are no alarm here. problems: errors
    in the file, a sentence each; broken: they are such that the file is not written to.
    """

    theme: str | None = None
    interval: float | None = None
    units: str | None = None
    ascii: bool | None = None
    mouse: bool | None = None
    slow_link: bool | None = None
    pane: str | None = None
    panes: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    sort: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    presets: Mapping[str, Preset] = field(default_factory=dict)
    ordinary: tuple[OrdinaryEntry, ...] = ()
    problems: tuple[str, ...] = ()
    broken: bool = False


def folder() -> Path:
    """Return $XDG_CONFIG_HOME/ebpftop, or ~/.config/ebpftop."""
    return paths.config()


def path() -> Path:
    return folder() / "settings.toml"


# Reading


def load(file: Path) -> Settings:
    """Read the settings; never fail: errors are listed in `problems`."""
    try:
        text, values = toml.read(file)
    except FileNotFoundError:
        return Settings()
    except toml.NotToml as why:
        return Settings(problems=(f"{file}: {why}; using the defaults",), broken=True)
    problems = [Problem(*found) for found in _problems(values)]
    for problem in problems:
        _take_out(values, problem.at)
    return Settings(
        **{n.replace("-", "_"): s.take(values[n]) for n, s in _KNOWN.items() if n in values},
        problems=tuple(p.sentence(file, text) for p in problems),
        broken=any(not p.unknown for p in problems),
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in the file.

    at: the tables and the key. unknown: an unknown key, which does no harm.
    """

    at: tuple[str, ...]
    what: str
    unknown: bool = False

    def sentence(self, file: Path, text: str) -> str:
        line = _line_of(text, self.at)
        return f"{file}{f', line {line}' if line else ''}: {self.what}"


@dataclass(frozen=True, slots=True)
class _Setting:
    """A key, with its check and conversion.

    wrong: yields what is wrong with a value, and below which key. take: converts it.
    """

    wrong: Callable[[Any], Iterator[tuple[tuple[str, ...], str]]]
    take: Callable[[Any], Any] = lambda value: value


def _must(holds: Callable[[Any], bool], what: str) -> _Setting:
    def wrong(value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
        if not holds(value):
            yield (), f"must be {what}, not {_short(value)}"

    return _Setting(wrong)


def _short(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_interval(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and MIN_INTERVAL <= value <= MAX_INTERVAL


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(v) for v in value)


def _is_own(value: Any) -> bool:
    """Return whether all are custom hooks: built-in ones have no colon, and a key or flag each."""
    return _is_texts(value) and all(":" in text for text in value)


def _each(holds: Callable[[Any], bool], what: str) -> Callable[[Any], Any]:
    def wrong(table: Any) -> Iterator[tuple[tuple[str, ...], str]]:
        if not isinstance(table, dict):
            yield (), f"must be a table, not {_short(table)}"
            return
        for key, value in table.items():
            if not holds(value):
                yield (key,), f"must be {what}, not {_short(value)}"

    return wrong


def _wrong_presets(table: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    yield from _each(lambda v: isinstance(v, dict), "a table")(table)
    for name, preset in table.items() if isinstance(table, dict) else ():
        for key, value in preset.items() if isinstance(preset, dict) else ():
            kind = PRESET_FIELDS.get(key)
            if kind is None:
                yield (name, key), f"is not a key of a preset ({', '.join(PRESET_FIELDS)})"
            elif not isinstance(value, kind) or (key == "units" and value not in UNITS):
                like = "true or false" if kind is bool else "a string"
                what = "'bytes' or 'bits'" if key == "units" else like
                yield (name, key), f"must be {what}, not {_short(value)}"


def _wrong_ordinary(table: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    yield from _each(lambda v: isinstance(v, dict), "a table")(table)
    entries = table if isinstance(table, dict) else {}
    for what in [*entries][MOST_ORDINARY:][:1]:
        yield (
            (what,),
            f"is beyond the limit: only the first {MOST_ORDINARY} of {len(entries)} count",
        )
    for what, entry in entries.items():
        for key, value in entry.items() if isinstance(entry, dict) else ():
            if key not in _ORDINARY_FIELDS:
                yield (what, key), f"is not a key of this table ({', '.join(_ORDINARY_FIELDS)})"
            elif key == "who" and not (_is_texts(value) or _is_text(value)):
                yield (what, key), f"must be a name or a list of names, not {_short(value)}"
            elif key == "until" and not isinstance(value, date):
                yield (what, key), f"must be a date such as 2026-12-24, not {_short(value)}"


def _ordinary(value: Mapping[str, Any]) -> tuple[OrdinaryEntry, ...]:
    kept = [*value.items()][:MOST_ORDINARY]
    return tuple([OrdinaryEntry(what, _names(e.get("who", ())), _end(e)) for what, e in kept])


def _names(who: Any) -> tuple[str, ...]:
    return (who,) if isinstance(who, str) else tuple(who)


def _end(entry: Mapping[str, Any]) -> float | None:
    """Return the Unix seconds of its end: of a date the end of that day, else local time."""
    until = entry.get("until")
    if isinstance(until, date) and not isinstance(until, datetime):
        until = datetime(until.year, until.month, until.day, 23, 59, 59)
    try:
        return None if until is None else until.timestamp()
    except (OverflowError, ValueError, OSError):  # the years at both ends
        return None


def _keys(value: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {id: (keys,) if isinstance(keys, str) else tuple(keys) for id, keys in value.items()}


def _presets(value: Mapping[str, Any]) -> dict[str, Preset]:
    return {name: Preset(name, **preset) for name, preset in value.items()}


_TRUTH = _must(lambda v: isinstance(v, bool), "true or false")
_KNOWN = {
    "theme": _must(_is_text, "the name of a theme"),
    "interval": _must(
        _is_interval, f"a number of seconds from {MIN_INTERVAL:g} to {MAX_INTERVAL:g}"
    ),
    "units": _must(lambda v: v in UNITS, "'bytes' or 'bits'"),
    "ascii": _TRUTH,
    "mouse": _TRUTH,
    "slow-link": _TRUTH,
    "pane": _must(_is_text, "the name of a pane"),
    "panes": _Setting(_must(_is_texts, "a list of panes' names").wrong, tuple),
    "hooks": _Setting(_must(_is_own, "a list of custom hooks, written as for --hook").wrong, tuple),
    "sort": _Setting(_each(_is_text, "a column, with '-' before it for descending order")),
    "keys": _Setting(
        _each(lambda v: _is_texts(v) or isinstance(v, str), "a key or a list of keys"), _keys
    ),
    "presets": _Setting(_wrong_presets, _presets),
    ORDINARY: _Setting(_wrong_ordinary, _ordinary),
}


def _problems(values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    for key, value in values.items():
        if key not in _KNOWN:
            near = get_close_matches(key, _KNOWN, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"settings are {', '.join(_KNOWN)}"
            yield (key,), f"{key!r} is not a setting; {meant}", True
            continue
        for below, what in _KNOWN[key].wrong(value):
            yield (key, *below), f"{'.'.join((key, *below))!r} {what}", False


def _take_out(values: dict[str, Any], at: tuple[str, ...]) -> None:
    for key in at[:-1]:
        values = values.get(key, {})
    values.pop(at[-1], None)


def _line_of(text: str, at: tuple[str, ...]) -> int:
    """Return the key's line, from 1; 0 if it cannot be found (inline tables and the like)."""
    table: list[str] = []
    for number, row in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\]]+)\]", row)
        if header:
            table = _parts(header[1])
            if table == list(at):
                return number
        key = re.match(
            r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""", row
        )
        if key and [*table, *_parts(key[1])] == list(at):
            return number
    return 0


def _parts(dotted: str) -> list[str]:
    return [a or b or c for a, b, c in re.findall(r""""([^"]*)"|'([^']*)'|([\w-]+)""", dotted)]


# Saving


def save(file: Path, wanted: Mapping[str, Any], host: Settings = Settings()) -> None:
    """Write these settings to the file and leave everything else in it unchanged.

    wanted: values by the names in the file; None removes one; a mapping sets the keys of that
    table. The new file is written beside the old one and renamed over it, so that there is always a
    complete one. host: what is in force where the user's file says nothing. Raises SettingsError.
    """
    import tomlkit  # 40 ms, and needed for this alone

    file = Path(os.path.realpath(file))  # a symbolic link stays one
    if load(file).broken:
        raise SettingsError(f"not saved: {load(file).problems[0]}; fix or remove the file first")
    try:
        text = files.read(file) if file.exists() else _HEAD
        document = tomlkit.parse(text)
        _bring_in(document, wanted, _usual(host))
        files.make_folder(file.parent)
        files.replace(file, tomlkit.dumps(document))
    except OSError as error:
        raise SettingsError(f"not saved: {file}: {error.strerror}") from error
    except ValueError as error:  # tomlkit accepts less than what reads the file
        raise SettingsError(f"not saved: {file}: {error}") from error


def save_ordinary(file: Path, entry: OrdinaryEntry, now: float) -> None:
    """Write that something is ordinary; entries that have expired go. now: Unix seconds.

    Raises SettingsError.
    """
    kept = {e.what: e for e in load(file).ordinary}
    expired = [e.what for e in kept.values() if e.until is not None and e.until <= now]
    if entry.what not in kept and len(kept) - len(expired) >= MOST_ORDINARY:
        raise SettingsError(f"not saved: {MOST_ORDINARY} entries are ordinary already")
    until = None if entry.until is None else datetime.fromtimestamp(int(entry.until)).astimezone()
    wanted: dict[str, Any] = dict.fromkeys(expired)
    wanted[entry.what] = {"who": list(entry.who), "until": until}
    save(file, {ORDINARY: wanted})


def forget_ordinary(file: Path, what: str) -> None:
    """Take out what is ordinary. Raises SettingsError."""
    save(file, {ORDINARY: {what: None}})


_HEAD = """\
# Settings of ebpftop, described in docs/guide/settings.md.
# When ebpftop saves settings, it keeps your comments and other keys.

"""


_USUAL = {"interval": 1.0, "units": "bytes", "ascii": False, "mouse": True, "slow-link": False}
"""Defaults, which are not written to the file."""


def _usual(host: Settings) -> dict[str, Any]:
    told = {name: getattr(host, name.replace("-", "_")) for name in _USUAL}
    return _USUAL | {name: value for name, value in told.items() if value is not None}


def _bring_in(table: Any, wanted: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    import tomlkit

    for key, value in wanted.items():
        if value is None:
            table.pop(key, None)
        elif isinstance(value, Mapping):
            if value and key not in table:
                table[key] = tomlkit.table()
            if value:
                _bring_in(table[key], value, usual)
        elif table[key] != value if key in table else value != usual.get(key):
            table[key] = value
