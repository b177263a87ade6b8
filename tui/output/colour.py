"""Colours of printed text, by kind of line: sixteen colours, none in a file or a pipe."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TextIO

CHOICES = ("auto", "always", "never")
_BOLD, _DIM, _RED, _YELLOW, _GREEN, _CYAN = "1", "2", "1;31", "33", "32", "36"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), colour)
    for pattern, colour in (
        (r"! .*|DROPPING .*|NOT DROPPING .*|  cannot be read: .*", _RED),
        (r"~ .*|  note: .*", _YELLOW),
        (r"[-.] .*|--- .*|  not [\w-]+: .*|  \.\.\. and .*", _DIM),
        (r"    next: .*| +-> .*", _CYAN),
        (r"  > \S+ +yes\b.*", _GREEN),
        (r"    \S+ +no\b.*", _DIM),
        (r"[\w-]+(@\S+)?( \(\d+ \w+\))?: (attached|passive|would attach).*", _BOLD),
        (r"[\w-]+(@\S+)?: (failed|detached).*", _RED),
        (r"what is wrong:|packets lost:", _BOLD),
        (r"[a-z][\w-]*(@[A-Z]+)?(  \(.*\))?", _BOLD),  # a hook in the catalogue
    )
)
"""Styles of whole lines of `once`, `findings`, `doctor` and `hooks`; the first match wins."""


def wanted(choice: str, out: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether to colour. auto: a terminal, unless NO_COLOR is set (no-color.org)."""
    out = sys.stdout if out is None else out
    able = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return choice == "always" or (choice == "auto" and able and out.isatty())


def painted(text: str, choice: str) -> str:
    """Return the text, with its lines coloured if that is wanted on standard output."""
    return "\n".join(map(_line, text.split("\n"))) if wanted(choice) else text


def _line(line: str) -> str:
    colour = next((colour for rule, colour in _RULES if rule.fullmatch(line)), "")
    return f"\x1b[{colour}m{line}\x1b[0m" if colour else line
