"""Glossary of the words in rows and details: drop reasons, errnos, outcomes, and rungs."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable

from probes.analysis.classes import REASONS
from probes.analysis.destinations import NO_ANSWER
from probes.analysis.errnos import ANY_CALL
from probes.model import Hook

_NAMES = re.compile(r"[A-Z][A-Z0-9_]{2,}")
_RUNGS = re.compile(r"[a-z][a-z0-9_]*(?:-[a-z0-9_]+)*")
_ERRNOS = {name: number for number, name in errno.errorcode.items()}
_OUTCOMES = {
    "refused": "the peer answered with a reset, as nothing listens on that port (ECONNREFUSED)",
    "timed out": "no answer came until the kernel ended the attempt (ETIMEDOUT)",
    "unreachable": "this host or a router knows no way there (EHOSTUNREACH, ENETUNREACH)",
    "gave up": "the process closed the socket before an answer came",
    "no port": "no local port was left for that address (EADDRNOTAVAIL)",
    NO_ANSWER: "the oldest attempts have waited for a second or longer, and none has failed yet",
}
"""How attempts to connect end, in the words of `destinations.HOW`."""


def glossary(text: str, hooks: Iterable[Hook]) -> list[tuple[str, str]]:
    """Return the words of a text that are known, in their order, each with a sentence.

    hooks: those whose rungs, and whose outcomes, may be meant.
    """
    hooks, names = list(hooks), dict.fromkeys(_NAMES.findall(text))
    found = [(name, said) for name in names if (said := _meaning(name))]
    if any(hook.name == "tcp-connect" for hook in hooks):
        ends = {how: f"of a connect: {said}" for how, said in _OUTCOMES.items()}
        found += [(how, said) for how, said in ends.items() if re.search(rf"\b{how}\b", text)]
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
