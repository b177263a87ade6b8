"""Glossary of the words in rows and details: drop reasons, errnos, and rungs."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable

from probes.analysis.classes import REASONS
from probes.analysis.errnos import ANY_CALL
from probes.model import Hook

_NAMES = re.compile(r"[A-Z][A-Z0-9_]{2,}")
_RUNGS = re.compile(r"[a-z][a-z0-9_]*(?:-[a-z0-9_]+)*")
_ERRNOS = {name: number for number, name in errno.errorcode.items()}


def glossary(text: str, hooks: Iterable[Hook]) -> list[tuple[str, str]]:
    """Return the words of a text that are known, in their order, each with a sentence.

    hooks: those whose rungs may be meant.
    """
    names = dict.fromkeys(_NAMES.findall(text))
    found = [(name, said) for name in names if (said := _meaning(name))]
    words = set(_RUNGS.findall(text))
    return found + [
        (rung.name, _of_rung(hook, number))
        for hook in hooks
        for number, rung in enumerate(hook.ladder)
        if rung.name in words
    ]


def _meaning(name: str) -> str:
    """Return what a drop reason or an errno means; "": it is neither."""
    if name in REASONS:
        return f"drop reason: {REASONS[name].sentence}"
    if name in _ERRNOS:
        said = os.strerror(_ERRNOS[name])
        more = f": {ANY_CALL[name].sentence}" if name in ANY_CALL else ""
        return f"errno {_ERRNOS[name]}, {said}{more}"
    return ""


def _of_rung(hook: Hook, number: int) -> str:
    rung = hook.ladder[number]
    misses = f"; {rung.misses}" if rung.misses else ""
    return f"rung {number + 1} of {len(hook.ladder)} of {hook.name}; needs {rung.requires}{misses}"
