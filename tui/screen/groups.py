"""The groups of keys of a screen, and dispatch to them."""

from __future__ import annotations

from collections.abc import Iterator

from tui.screen.actions import groups
from tui.screen.context import Actions, Context
from tui.screen.key import Key
from tui.screen.menu import Choice


class Groups:
    """One object of each group, in order."""

    def __init__(self, screen: Context) -> None:
        self._groups = tuple(group(screen) for group in groups())
        self._owners = {k.id: (k, group) for group in self._groups for k in group.keys}

    def __iter__(self) -> Iterator[Actions]:
        return iter(self._groups)

    def begin(self) -> None:
        for group in self._groups:
            group.begin()

    def key_pressed(self, key: str, when: float) -> None:
        for group in self._groups:
            group.key_pressed(key, when)

    def selection_changed(self) -> None:
        for group in self._groups:
            group.selection_changed()

    def commands(self) -> Iterator[Choice]:
        for group in self._groups:
            yield from group.commands()

    def key(self, id: str) -> Key:
        return self._owners[id][0]

    def offer(self, key: Key) -> bool:
        """Return whether the key's group can do something here."""
        return self._owners[key.id][1].offers(key.action)

    def why_not(self, key: Key) -> str:
        """Say why the key's group can do nothing here; "": it has no word for it."""
        return self._owners[key.id][1].why_not(key.action)

    def do(self, id: str) -> None:
        """Call the key's method."""
        key, group = self._owners[id]
        getattr(group, key.action)(*(() if key.given is None else (key.given,)))
