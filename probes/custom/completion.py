"""Completion of a hook's spec while it is typed, as far as this kernel has such names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from itertools import islice

from probes.custom import spec
from probes.errors import ProbeError
from probes.kernel import btf, elf, kallsyms, patience, tracefs
from probes.units import printable

MAX_NAMED = 6
"""Possibilities that are listed."""
MOST_FILES, LIST_SECONDS = 10_000, 1.0
"""Files of a folder that are read; and seconds that a key may wait for a file system."""


def complete(text: str) -> tuple[str, str]:
    """Return the text, extended as far as it is unambiguous, and what could follow, in words."""
    kind, colon, rest = text.partition(":")
    if not colon:
        return _grown("", text, [f"{k}:" for k in spec.KINDS])
    head, comma, word = rest.rpartition(",")
    if comma:
        return _grown(f"{kind}:{head},", word, _options(kind, head))
    if kind == "tracepoint" and not tracefs.events():
        return (
            text,
            "tracepoints are listed in tracefs, which cannot be read here; use rawtracepoint:",
        )
    return _grown(f"{kind}:", rest, _places(kind, rest))


def _grown(before: str, typed: str, possible: Iterable[str]) -> tuple[str, str]:
    found = sorted({p for p in possible if p.startswith(typed)})
    if not found:
        return before + typed, "no match"
    further = os.path.commonprefix(found)  # noqa: RUF071 - not of paths: of any text
    if len(found) == 1:
        return before + further, ""
    shown = ", ".join(map(printable, found[:MAX_NAMED]))
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return before + further, shown + more


def _places(kind: str, typed: str) -> Iterable[str]:
    if kind in spec.FUNCTIONS:
        return kallsyms.functions()
    if kind == "tracepoint":
        return tracefs.events()
    if kind == "rawtracepoint":
        return tracefs.names() | btf.tracepoints()
    if kind not in spec.USER:
        return ()
    path, colon, _ = typed.rpartition(":")
    return (f"{path}:{name}" for name in _functions(path)) if colon else _files(typed)


def _functions(path: str) -> Iterable[str]:
    try:
        return elf.read(path, LIST_SECONDS).names()
    except ProbeError:
        return ()


def _files(typed: str) -> Iterable[str]:
    """Return folders, with / at the end, and files, with the : that a function follows."""
    folder = typed if typed.endswith("/") else os.path.dirname(typed) or "/"  # noqa: PTH120
    try:
        return patience.within(LIST_SECONDS, partial(_listed, folder))
    except OSError:
        return ()


def _listed(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [f"{e.path}/" if e.is_dir() else f"{e.path}:" for e in islice(entries, MOST_FILES)]


def _options(kind: str, head: str) -> Iterable[str]:
    calls = kind in spec.FUNCTIONS | spec.USER
    options = [f"by={name}" for name in spec.BY] + [f"where={name}==" for name in spec.OF_TASK]
    options += ["latency", "ret"] if calls else []
    options += ["unsafe"] if kind in spec.USER else []
    if kind == "tracepoint":
        category, _, name = head.partition(",")[0].partition(":")
        known = tracefs.fields(category, name)
        options += [f"fields={field}" for field in known]
        options += [f"where={field}==" for field, how in known.items() if how.number]
        options += list(known) if "fields=" in head else []
    return options
