"""Hints: a sentence in the place of the keys for two seconds, such as why a key does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tui.screen.groups import Groups
from tui.screen.keymap import Keymap
from tui.table.lines import Line, fit, line, width_of
from tui.terminal.key_names import people

SECONDS = 2.0
"""Seconds for which a hint is shown."""
_NOTHING = " does nothing here"
"""Words that are left out first if there is no room."""
_OPEN = {"detail": "the detail", "help": "the help", "menu": "the menu"}
"""Modes that Esc ends, in words."""


class Hints:
    """The hint that is shown, if any. start: runs what takes a while. changed: it is another."""

    def __init__(
        self,
        start: Callable[[Coroutine[Any, Any, None]], object],
        changed: Callable[[], None],
    ) -> None:
        self._start, self._changed = start, changed
        self._text = ""
        self._number = 0

    def show(self, text: str) -> None:
        """Show a text; one that is shown already starts over."""
        self._text = text
        self._number += 1
        self._start(self._end(self._number))
        self._changed()

    async def _end(self, number: int) -> None:
        await asyncio.sleep(SECONDS)
        if number == self._number:
            self.forget()

    def forget(self) -> None:
        if self._text:
            self._text = ""
            self._changed()

    def line(self, width: int) -> Line | None:
        """Return the hint as a line, None: there is none."""
        if not self._text:
            return None
        fits = width_of(self._text) < width
        text = self._text if fits else self._text.replace(_NOTHING, "", 1)
        return line((fit(f" {text}", width).rstrip(), "warn"))


def why_unused(pressed: str, mode: str, keymap: Keymap, groups: Groups) -> str:
    """Say why a key does nothing here. pressed: as Textual names it."""
    shown = people(pressed)
    key = next((k for k in keymap.table if pressed in k.keys.split(",")), None)
    if key is None:
        return f"{shown} is not a key here; {keymap.shown('help')} lists the keys"
    if key.modes is not None and mode not in key.modes and mode in _OPEN:
        return f"{shown} does nothing while {_OPEN[mode]} is open: {keymap.shown('back')} closes it"
    why = groups.why_not(key) or "it works in other panes"
    return f"{shown}{_NOTHING}: {why}"
