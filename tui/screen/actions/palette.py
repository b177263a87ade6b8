"""The palette: every command, by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tui.screen.context import Actions, Context
from tui.screen.key import TEXT, Key
from tui.screen.menu import Choice, Menu

_APART = ("palette", "back", "theme", "sort.menu", "preset.save")
"""Commands listed here under other names, or useless from here."""
_SECTIONS = ("keys", "panes", "presets", "columns", "hooks", "rules", "themes", "settings")
"""The order of sections; others follow."""
_MAX_PAST_COMMANDS = 20
"""The most recent commands that come first the next time."""


class PaletteActions(Actions):
    """Key for the palette. Recent commands come first until something is typed."""

    order = 10
    keys = (
        Key(
            "palette", "colon,ctrl+p", ": ^P", "open", "", "find any command by name", "General",
            modes=TEXT,
        ),
    )  # fmt: skip

    def __init__(self, screen: Context) -> None:
        super().__init__(screen)
        self._past: tuple[str, ...] = ()

    def open(self) -> None:
        """Choose a command, by number or a few letters."""
        commands = sorted(self.screen.commands(), key=_section)
        latest = {title: i for i, title in enumerate(self._past)}
        commands.sort(key=lambda c: latest.get(c.title, len(latest)))
        choices = [c._replace(do=partial(self._do, c)) for c in commands]
        note = "type a few letters; Up Down Enter Esc"
        self.screen.menu.open(Menu("Command", choices, ask="Command:", note=note))

    def _do(self, command: Choice) -> None:
        others = (t for t in self._past if t != command.title)
        self._past = (command.title, *others)[:_MAX_PAST_COMMANDS]
        command.do()

    def commands(self) -> Iterator[Choice]:
        for key in self.screen.keymap.table:
            if self._has_sense(key):
                title = f"{key.help[0].upper()}{key.help[1:]}"
                # At once: what it asks gets what is typed next.
                do = partial(self.screen.do, key.id)
                yield Choice(title, do, key.id, key.shown, section="keys")

    def _has_sense(self, key: Key) -> bool:
        apart = key.id in _APART or _moves(key)
        return not apart and self.screen.offered(key)


def _moves(key: Key) -> bool:
    """Return whether it goes to a place that is listed by name, or moves among rows."""
    return key.action in ("show", "move", "page") and key.group in ("Moving", "Panes")


def _section(choice: Choice) -> int:
    known = choice.section in _SECTIONS
    return _SECTIONS.index(choice.section) if known else len(_SECTIONS)
