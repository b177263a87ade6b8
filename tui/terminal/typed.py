"""Tells pasted text from typed text.

Nobody types so much at once, and as keys it would do whatever the letters mean. If the terminal
does not mark a paste (`BEGIN`, `END`), it is recognized by its size.
"""

from __future__ import annotations

import re
import time

BEGIN, END = "\x1b[200~", "\x1b[201~"
"""Sequences around pasted text, if the terminal sends them."""
PASTED_AT_ONCE, PASTED_AFTER, PASTE_PAUSE = 256, 32, 0.1
"""Characters at once that nobody types; so many continue them within PASTE_PAUSE seconds."""
MAX_MOVES = 16
"""Arrows, pages and the like that are taken all the same: one is held down over a slow link."""

_ONE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[^\x1b]|\x1b[^\[O\x1b\x03\x11]|[^\x1b]|\x1b(?=.)", re.DOTALL
)
"""A key, or a terminal's answer."""
_MOVES = re.compile(r"\x1b(?:\[[\d;]*[ABCDFH]|\[[1-8](?:;\d+)?~|O[ABCDFH])")
_CUT = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
"""The beginning of one, at the end."""
_ALWAYS_TAKEN = re.compile(r"\x1b\[(?:\d+;\d+R|\?[\d;]+\$y|[\d;]+t|<[\d;]+m|[IO])|[\x03\x11]")
"""Answers, sizes, a mouse's button released, focus; ^C and ^Q."""


class Pasted:
    """Recognizes pasted text, if nothing but text is in it.

    bracketed: the terminal has marked some of the last text as pasted.
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._within, self._tail = False, ""
        self.bracketed = False

    def take(self, text: str, *, unfinished: bool) -> str | None:
        """Return pasted text, limited to the first piece; None if it was typed.

        unfinished: the beginning of a sequence came before it.
        """
        seen = self._tail + text
        self._tail = seen[1 - len(BEGIN) :]  # a marker may come in two parts
        begin, end, before = seen.rfind(BEGIN), seen.rfind(END), self._within
        if begin != end:
            self._within = begin > end
        self.bracketed = before or self._within or begin >= 0
        if "\x1b" in text or unfinished or self.bracketed:
            return None
        now = time.monotonic()
        goes_on = bool(text) and now <= self._until
        if len(text) < PASTED_AT_ONCE and not goes_on:
            return None
        if len(text) >= PASTED_AFTER:  # else somebody types behind it
            self._until = now + PASTE_PAUSE
        return "" if goes_on else text


class Flood:
    """Keys that come faster than anybody types.

    Only a few that move are taken, so that what is typed after them is answered, and quitting does
    not wait for them.
    """

    def __init__(self) -> None:
        self._until, self._moved, self._cut = 0.0, 0, ""

    def kept(self, text: str) -> str:
        """Return the part that is to be taken."""
        now = time.monotonic()
        if now > self._until:
            self._cut, self._moved = "", 0
            if len(text) < PASTED_AT_ONCE:
                return text
        if len(text) >= PASTED_AFTER:
            self._until = now + PASTE_PAUSE
        text = self._cut + text
        cut = _CUT.search(text)
        self._cut = cut.group() if cut else ""
        return "".join([one for one in _ONE.findall(text) if self._is_wanted(one)])

    def _is_wanted(self, one: str) -> bool:
        if _ALWAYS_TAKEN.fullmatch(one):
            return True
        if self._moved >= MAX_MOVES or not _MOVES.fullmatch(one):
            return False
        self._moved += 1
        return True
