"""The background's colour, which terminals tell if they are asked (OSC 11)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

ASK = "\x1b]11;?\x1b\\"
_ANSWER = re.compile(
    r"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})"
    r"(?:/[0-9a-fA-F]{1,4})?(?:\x07|\x1b\\)"
)
_CUT = re.compile(r"\x1b\](?:1(?:1(?:;[^\x07\x1b]{0,40}\x1b?)?)?)?\Z")
"""The beginning of an answer, at the end."""
_WEIGHTS = (0.299, 0.587, 0.114)
_LIGHT = 0.5
_SILENT = ("", "dumb", "linux", "ansi", "vt", "cons")
"""Terminals that are not asked, by the beginning of TERM: they would not answer."""


def answers(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the terminal may be asked."""
    term = environ.get("TERM", "")
    return bool(term) and not term.startswith(_SILENT[1:])


class BackgroundAnswer:
    """The terminal's answer, taken out of what is typed. tell: whether the background is light."""

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self._tell, self._waits, self._tail = tell, False, ""

    def asked(self) -> None:
        """Expect an answer from now on, until it comes."""
        self._waits = True

    def take(self, text: str) -> str:
        """Return what was typed; the beginning of an answer is kept for the next time."""
        if not self._waits:
            return text
        text, self._tail = self._tail + text, ""
        found = _ANSWER.search(text)
        if found is not None:
            self._waits = False
            self._tell(_brightness(found) > _LIGHT)
            return text[: found.start()] + text[found.end() :]
        cut = _CUT.search(text)
        if cut is not None:
            self._tail, text = cut.group(), text[: cut.start()]
        return text


def _brightness(answer: re.Match[str]) -> float:
    """Return how bright the colour is, from 0 to 1; parts have one to four digits."""
    parts = [int(part, 16) / float(16 ** len(part) - 1) for part in answer.groups()]
    return sum([part * weight for part, weight in zip(parts, _WEIGHTS, strict=True)])
